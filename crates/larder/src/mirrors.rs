//! Images in registries that have mirrors.

use std::sync::Arc;

use larder_oci::image::{ImageReference, ImageSource, Mirror, RegistrySource};
use larder_oci::reference::Host;
use larder_oci::registry::{Credentials, Environment, Options, Proxy};
use larder_remote::tiers::Runtime;

use crate::image::{self, ImageError};

/// An image's source as [`image::source`] gives it, with mirrors: those that are of the image's registry are asked first, in their order.
///
/// # Errors
/// When a file cannot be read; of a registry nothing is asked yet.
pub fn source(
    reference: &ImageReference,
    environment: Environment,
    mirrors: &[Mirror],
    runtime: &Runtime,
) -> Result<Arc<dyn ImageSource>, ImageError> {
    let ImageReference::Registry(registry) = reference else {
        return image::source(reference, environment, runtime);
    };
    let options = |host: &Host| {
        let mut options = Options::default();
        options.proxy = Proxy::from_environment(&environment, host);
        options.credentials = Credentials::files(environment.clone());
        options
    };
    let copies = mirrors.iter().filter_map(|mirror| mirror.of(registry));
    let copies = copies.map(|copy| {
        let options = options(copy.host());
        (copy, options)
    });
    let copies = copies.collect();
    let source = RegistrySource::mirrored(registry, options(registry.host()), copies, runtime.handle()?)?;
    Ok(Arc::new(source))
}
