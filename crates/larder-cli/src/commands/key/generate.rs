//! `larder key generate`.

use larder::core::Error;
use serde_json::json;

use super::Around;
use crate::cli::GenerateArgs;
use crate::commands::Context;
use crate::exit::Exit;

/// Makes a key. The secret part is written to its file and shown nowhere.
pub(super) fn generate(context: &Context, args: &GenerateArgs) -> Result<Exit, Error> {
    let printer = &context.printer;
    let key = Around::new(context).make_folder(context)?.generate(&args.name)?;
    let secret = key.secret_file.as_deref().unwrap_or(&key.public_file).display().to_string();
    if args.json {
        printer.json(&json!({
            "name": key.name, "id": key.public.key_id(), "public": key.public.to_string(),
            "secret_file": secret, "public_file": key.public_file.to_string_lossy(),
        }));
        return Ok(Exit::Success);
    }
    printer.data(format_args!("made key `{}`, id {}", key.name, key.public.key_id()));
    printer.data(format_args!("secret  {secret}"));
    printer.data(format_args!("public  {}", key.public));
    printer.talk(format_args!(
        "sign with it: `export LARDER_SIGNING_KEY='{secret}'`; others believe it after `larder key trust {}`",
        key.public
    ));
    Ok(Exit::Success)
}
