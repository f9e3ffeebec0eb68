//! What tables are signed with, and whose are believed: as for results, also where there is no store.

use larder::cache::DEFAULT_NAMESPACE;
use larder::keys::folder::Places;
use larder::store::Store;
use larder::store::trust::{Signer, Trust};

use super::open::fail;
use crate::commands::Context;
use crate::exit::Exit;

/// What is set up.
pub(super) struct Signing {
    pub(super) signer: Signer,
    pub(super) trust: Trust,
    pub(super) namespace: String,
}

/// As the store has it, else as the user has it.
pub(super) fn signing(context: &Context, store: Option<&Store>) -> Result<Signing, Exit> {
    if let Some(store) = store {
        let (signer, trust) = (store.signer().clone(), store.trust().clone());
        return Ok(Signing { signer, trust, namespace: store.namespace().to_owned() });
    }
    let around = context.machine.surroundings(None);
    let places = Places { project: None, store: around.home.as_deref() };
    let config = around
        .keys
        .signing(&around.folder, &places, false)
        .map_err(|error| fail(&context.printer, &error, error.hint().unwrap_or_default()))?;
    let (signer, trust, _) = config.resolve();
    Ok(Signing { signer, trust, namespace: DEFAULT_NAMESPACE.to_owned() })
}
