//! Actions and results in the words of the Remote Execution API, for whoever has arguments and files and no wish to
//! build messages.
//!
//! An action is a `Command` and a tree of `Directory` messages; only their digests are used. What is described the same
//! way has the same digest, whatever the order of inputs. Another digest for the same words would lose everybody's cache:
//! a test holds one.

use std::collections::BTreeMap;

use larder_core::{Digest, DigestFunction};
use larder_reapi::{Action, ActionResult, Command, Directory, DirectoryNode, FileNode, OutputFile};
use larder_store::message::{encode, from_message, to_message};

/// Folders within folders; what is deeper is one name.
const DEEPEST: usize = 512;

/// The action that does what `arguments` say with `inputs`.
pub(crate) fn action<A: Into<String>, P: AsRef<str>>(
    function: DigestFunction,
    arguments: impl IntoIterator<Item = A>,
    inputs: impl IntoIterator<Item = (P, Digest)>,
) -> Action {
    let arguments = arguments.into_iter().map(Into::into).collect();
    let command = Command { arguments, ..Command::default() };
    let mut root = Folder::default();
    for (path, digest) in inputs {
        root.add(path.as_ref(), digest);
    }
    Action {
        command_digest: Some(to_message(&encode(function, &command).0)),
        input_root_digest: Some(to_message(&root.digest(function))),
        ..Action::default()
    }
}

/// A result that is `outputs`.
pub(crate) fn result<P: Into<String>>(outputs: impl IntoIterator<Item = (P, Digest)>) -> ActionResult {
    let file = |(path, digest): (P, Digest)| OutputFile {
        path: path.into(),
        digest: Some(to_message(&digest)),
        ..OutputFile::default()
    };
    ActionResult { output_files: outputs.into_iter().map(file).collect(), ..ActionResult::default() }
}

/// The output file `path`.
pub(crate) fn output(function: DigestFunction, result: &ActionResult, path: &str) -> Option<Digest> {
    let file = result.output_files.iter().find(|file| file.path == path)?;
    from_message(function, file.digest.as_ref()?)
}

#[derive(Default)]
struct Folder {
    files: BTreeMap<String, Digest>,
    folders: BTreeMap<String, Folder>,
}

impl Folder {
    /// The last of two with the same path counts.
    fn add(&mut self, path: &str, digest: Digest) {
        let (folders, name) =
            path.rsplit_once('/').map_or((None, path), |(before, name)| (Some(before), name));
        let folder = folders
            .into_iter()
            .flat_map(|names| names.splitn(DEEPEST, '/'))
            .fold(self, |folder, name| folder.folders.entry(name.to_owned()).or_default());
        folder.files.insert(name.to_owned(), digest);
    }

    /// Of the encoded `Directory`.
    fn digest(&self, function: DigestFunction) -> Digest {
        let file = |(name, digest): (&String, &Digest)| FileNode {
            name: name.clone(),
            digest: Some(to_message(digest)),
            ..FileNode::default()
        };
        let folder = |(name, folder): (&String, &Folder)| DirectoryNode {
            name: name.clone(),
            digest: Some(to_message(&folder.digest(function))),
        };
        let directory = Directory {
            files: self.files.iter().map(file).collect(),
            directories: self.folders.iter().map(folder).collect(),
            ..Directory::default()
        };
        encode(function, &directory).0
    }
}
