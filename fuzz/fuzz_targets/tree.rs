//! A recorded output tree from anywhere: refused, or one that this program could have written.
#![no_main]

use larder_core::DigestFunction;
use larder_reapi::{Message, Tree};
use larder_run::outputs::Folder;
use larder_run::worktree::entries_of;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(tree) = Tree::decode(bytes) else { return };
    let _ = entries_of(&tree);
    let Ok(folder) = Folder::from_message(DigestFunction::Blake3, &tree) else { return };
    let again = folder.to_message(DigestFunction::Blake3);
    assert_eq!(Folder::from_message(DigestFunction::Blake3, &again).ok(), Some(folder));
});
