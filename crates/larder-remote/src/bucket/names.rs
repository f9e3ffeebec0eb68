//! Names of objects. All that a name is made of is escaped or hexadecimal: no text of a user becomes a path.
//!
//! ```text
//! PREFIX/larder1/NAMESPACE/results/ab/<function>-<64 hex>-<size>
//! PREFIX/larder1/NAMESPACE/packs/ab/<64 hex>
//! PREFIX/larder1/NAMESPACE/recipes/<32 hex>
//! PREFIX/larder1/NAMESPACE/marked/<64 hex>
//! ```

use larder_core::{DigestFunction, Hash};
use larder_store::ActionDigest;
use object_store::path::Path;

/// Names below one prefix, of one namespace.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    root: String,
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_' {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("={byte:02x}"));
        }
    }
    out
}

impl Names {
    /// Names of `namespace` below `prefix`.
    pub(crate) fn new(prefix: &str, namespace: &str) -> Self {
        let prefix = prefix.trim_matches('/');
        let slash = if prefix.is_empty() { "" } else { "/" };
        Self { root: format!("{prefix}{slash}larder1/{}", escape(namespace)) }
    }

    fn path(&self, rest: &str) -> Path {
        Path::from(format!("{}/{rest}", self.root))
    }

    /// The result of an action.
    pub(crate) fn result(&self, action: &ActionDigest) -> Path {
        let function = match action.function() {
            DigestFunction::Blake3 => "b3",
            _ => "sha256",
        };
        let hex = action.0.hash.to_hex();
        self.path(&format!("results/{}/{function}-{hex}-{}", &hex[..2], action.0.size))
    }

    /// A pack.
    pub(crate) fn pack(&self, pack: &Hash) -> Path {
        let hex = pack.to_hex();
        self.path(&format!("packs/{}/{hex}", &hex[..2]))
    }

    /// What is known of the recent results of a recipe.
    pub(crate) fn recipe(&self, label: &str) -> Path {
        let hex = Hash::blake3(label.as_bytes()).to_hex();
        self.path(&format!("recipes/{}", &hex[..32]))
    }

    /// The folder of packs that will be deleted.
    pub(crate) fn marked(&self) -> Path {
        self.path("marked")
    }

    /// An object to try things on.
    pub(crate) fn probe(&self, id: &str) -> Path {
        self.path(&format!("probe/{id}"))
    }
}

/// The pack that the last part of a name says.
pub(crate) fn pack_of(path: &Path) -> Option<Hash> {
    Hash::from_hex(path.filename()?)
}
