//! Machines: each a store of its own, with content that is the same for the same seed.

use larder_core::{Digest, DigestFunction};
use larder_reapi::{Action, ActionResult, Directory, FileNode, Message, OutputDirectory, Tree};
use larder_store::message::to_message;
use larder_store::trust::{Secret, SigningConfig};
use larder_store::{ActionDigest, Options, Store};

/// A machine.
pub(crate) struct Machine {
    pub(crate) store: Store,
    _folder: tempfile::TempDir,
}

pub(crate) const SECRET: &[u8] = b"a secret of the team, long enough to be one";

impl Machine {
    /// A machine of the team.
    pub(crate) fn new() -> Self {
        Self::with(SigningConfig { secret: Some(Secret::new(SECRET).unwrap()), ..SigningConfig::default() })
    }

    pub(crate) fn with(signing: SigningConfig) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::local(folder.path(), Options::default(), "default", signing).unwrap();
        Self { store, _folder: folder }
    }

    /// Makes the result of an action whose outputs are `files`, and records it.
    pub(crate) fn build(&self, action: u64, files: &[Vec<u8>]) -> ActionDigest {
        let mut writer = self.store.writer().unwrap();
        let mut root = Directory::default();
        for (number, content) in files.iter().enumerate() {
            let digest = writer.put_bytes(content).unwrap();
            root.files.push(FileNode {
                name: format!("file{number:05}"),
                digest: Some(to_message(&digest)),
                ..FileNode::default()
            });
        }
        let tree = Tree { root: Some(root), children: Vec::new() }.encode_to_vec();
        let tree = writer.put_bytes(&tree).unwrap();
        writer.commit().unwrap();
        let output = OutputDirectory { tree_digest: Some(to_message(&tree)), ..OutputDirectory::default() };
        let result = ActionResult { output_directories: vec![output], ..ActionResult::default() };
        let action = key(action);
        self.store.record(&action, &result).unwrap();
        action
    }

    /// The files of an action's result, as this machine has it.
    pub(crate) fn files(&self, action: &ActionDigest) -> Option<Vec<Vec<u8>>> {
        let hit = self.store.look_up(action).hit()?;
        let tree = hit.result.output_directories[0].tree_digest.as_ref()?;
        let tree = larder_store::message::from_message(DigestFunction::Blake3, tree)?;
        let tree = Tree::decode(&self.store.get(&tree, 1 << 30).unwrap()[..]).unwrap();
        let digest = |file: &FileNode| -> Digest {
            larder_store::message::from_message(DigestFunction::Blake3, file.digest.as_ref().unwrap())
                .unwrap()
        };
        Some(tree.root?.files.iter().map(|file| self.store.get(&digest(file), 1 << 30).unwrap()).collect())
    }
}

/// The key of a made-up action.
pub(crate) fn key(number: u64) -> ActionDigest {
    let action = Action { salt: number.to_le_bytes().to_vec(), ..Action::default() };
    ActionDigest::of(DigestFunction::Blake3, &action)
}

/// Bytes that do not compress, the same for the same seed.
pub(crate) fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut out = Vec::with_capacity(length + 8);
    while out.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        out.extend_from_slice(&state.wrapping_mul(0x2545_F491_4F6C_DD1D).to_le_bytes());
    }
    out.truncate(length);
    out
}
