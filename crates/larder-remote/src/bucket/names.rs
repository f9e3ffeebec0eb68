//! Names of objects. All that a name is made of is escaped or hexadecimal: no text of a user becomes a path.
//!
//! ```text
//! PREFIX/larder1/NAMESPACE/results/ab/<function>-<64 hex>-<size>
//! PREFIX/larder1/NAMESPACE/packs/ab/<64 hex>
//! PREFIX/larder1/NAMESPACE/recipes/<32 hex>
//! PREFIX/larder1/NAMESPACE/marked/<64 hex>
//! ```

use larder_core::Hash;
use object_store::path::Path;

use crate::packed::shelf::{Kind, Place};

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

    /// A result, or the note of a recipe.
    pub(crate) fn place(&self, place: &Place) -> Path {
        let name = &place.name;
        match place.kind {
            Kind::Note => self.path(&format!("recipes/{name}")),
            Kind::Result => {
                let fan = name.split('-').nth(1).and_then(|hex| hex.get(..2)).unwrap_or("00");
                self.path(&format!("results/{fan}/{name}"))
            }
        }
    }

    /// A pack.
    pub(crate) fn pack(&self, pack: &Hash) -> Path {
        let hex = pack.to_hex();
        self.path(&format!("packs/{}/{hex}", &hex[..2]))
    }

    /// The folder of packs that will be deleted.
    pub(crate) fn marked(&self) -> Path {
        self.path("marked")
    }

    /// The mark of a pack that will be deleted.
    pub(crate) fn mark(&self, pack: &Hash) -> Path {
        self.path(&format!("marked/{}", pack.to_hex()))
    }

    /// The folder of all results.
    pub(crate) fn results(&self) -> Path {
        self.path("results")
    }

    /// The folder of all packs.
    pub(crate) fn packs(&self) -> Path {
        self.path("packs")
    }

    /// The folder of all notes.
    pub(crate) fn recipes(&self) -> Path {
        self.path("recipes")
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
