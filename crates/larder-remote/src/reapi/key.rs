//! The key under which a server keeps a result.
//!
//! On a server that names content as the result does, and in the namespace `default`: the digest of its action. Else the
//! digest of a stand-in, a real `Action` whose salt holds the namespace and the action's digest: servers may ask that a
//! result's action is among the blobs, and the digest of the true one does not say the namespace, nor exist in another
//! function. Whatever the key is, the signature covers namespace and action: a result under a wrong key is not believed.

use bytes::Bytes;
use larder_core::{Digest, DigestFunction};
use larder_reapi::{Action, Command};
use larder_store::{ActionDigest, Store, message};

use super::upload::{Content, Upload};

/// The namespace that needs no stand-in.
const DEFAULT: &str = "default";
const DOMAIN: &[u8] = b"larder-reapi-v1\0";

/// A key, and the blobs that go with it.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub(crate) digest: Digest,
    blobs: Vec<(Digest, Bytes)>,
}

impl Key {
    pub(crate) fn new(namespace: &str, action: &ActionDigest, function: DigestFunction) -> Self {
        if namespace == DEFAULT && function == action.function() {
            return Self { digest: action.0, blobs: Vec::new() };
        }
        let mut salt = DOMAIN.to_vec();
        salt.extend_from_slice(&(namespace.len() as u64).to_le_bytes());
        salt.extend_from_slice(namespace.as_bytes());
        salt.push(action.function() as u8);
        salt.extend_from_slice(&action.key());
        let command = Command { arguments: vec!["larder".to_owned()], ..Command::default() };
        let (command_digest, command) = message::encode(function, &command);
        let stand_in = Action {
            command_digest: Some(message::to_message(&command_digest)),
            input_root_digest: Some(message::to_message(&Digest::empty(function))),
            salt,
            ..Action::default()
        };
        let (digest, stand_in) = message::encode(function, &stand_in);
        let blobs = vec![(command_digest, command.into()), (digest, stand_in.into())];
        Self { digest, blobs }
    }

    /// What a server should have before the result.
    pub(crate) fn uploads(&self, store: &Store) -> Vec<Upload> {
        if self.blobs.is_empty() {
            // Whoever runs actions need not keep their messages.
            let kept = store.find_missing(&[self.digest]).is_ok_and(|missing| missing.is_empty());
            let action = Upload { address: self.digest, content: Content::Stored(self.digest) };
            return kept.then_some(action).into_iter().collect();
        }
        let upload = |(address, bytes): &(Digest, Bytes)| Upload {
            address: *address,
            content: Content::Bytes(bytes.clone()),
        };
        self.blobs.iter().map(upload).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_tell_namespaces_functions_and_actions_apart() {
        let (one, two) = (ActionDigest(Digest::blake3(b"1")), ActionDigest(Digest::blake3(b"2")));
        let key =
            |namespace: &str, action: &ActionDigest, function| Key::new(namespace, action, function).digest;
        let (blake3, sha256) = (DigestFunction::Blake3, DigestFunction::Sha256);
        assert_eq!(key("default", &one, blake3), one.0);
        let mut keys = std::collections::HashSet::new();
        for action in [&one, &two] {
            for function in [blake3, sha256] {
                for namespace in ["default", "team", "tea", ""] {
                    assert!(keys.insert(key(namespace, action, function)), "{namespace}");
                }
            }
        }
    }

    #[test]
    fn keys_stay_what_they_are() {
        let action = ActionDigest(Digest::blake3(b"larder"));
        let shown = |namespace, function| Key::new(namespace, &action, function).digest.to_string();
        assert_eq!(
            shown("default", DigestFunction::Sha256),
            "sha256:eb4361446c6276d5126daca96ab3bdbd71838bbdda0cb51dcde610da259e2cfd/212"
        );
        assert_eq!(
            shown("team", DigestFunction::Blake3),
            "b3:f4d9832d83db6fc52d5dfca88919163723e7697a531ceeb09a5aa7e8f63f73a6/209"
        );
    }
}
