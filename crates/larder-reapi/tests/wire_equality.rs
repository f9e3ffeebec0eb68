//! Our messages are the published ones on the wire: what we encode, crate `bazel-remote-apis` decodes and encodes to the
//! same bytes, with every field of every message set; and what it decodes holds our values.
#![expect(clippy::unwrap_used, reason = "tests")]

use bazel_remote_apis::build::bazel::remote::execution::v2 as published;
use larder_reapi as ours;
use proptest::prelude::*;
use prost::Message;

/// Through the published type and back; the bytes must not change.
fn through<Theirs: Message + Default, Ours: Message + Default + PartialEq + std::fmt::Debug>(
    message: &Ours,
) -> Theirs {
    let bytes = message.encode_to_vec();
    let theirs = Theirs::decode(bytes.as_slice()).unwrap();
    assert_eq!(theirs.encode_to_vec(), bytes, "{message:?}");
    assert_eq!(&Ours::decode(theirs.encode_to_vec().as_slice()).unwrap(), message);
    theirs
}

fn digest(seed: u64) -> ours::Digest {
    ours::Digest { hash: format!("{seed:064x}"), size_bytes: (seed >> 1) as i64 }
}

fn timestamp(seed: u64) -> Option<ours::Timestamp> {
    Some(ours::Timestamp { seconds: (seed >> 3) as i64, nanos: (seed % 1_000_000_000) as i32 })
}

fn properties(seed: u64) -> Option<ours::NodeProperties> {
    Some(ours::NodeProperties {
        properties: vec![ours::NodeProperty { name: format!("n{seed}"), value: format!("v{seed}") }],
        mtime: timestamp(seed),
        unix_mode: Some(ours::UInt32Value { value: seed as u32 }),
    })
}

fn platform(seed: u64) -> Option<ours::Platform> {
    Some(ours::Platform {
        properties: vec![ours::Property { name: format!("p{seed}"), value: format!("w{seed}") }],
    })
}

fn action(seed: u64) -> ours::Action {
    ours::Action {
        command_digest: Some(digest(seed)),
        input_root_digest: Some(digest(seed ^ 1)),
        timeout: Some(ours::Duration { seconds: (seed >> 2) as i64, nanos: 7 }),
        do_not_cache: true,
        salt: seed.to_le_bytes().to_vec(),
        platform: platform(seed),
    }
}

fn command(seed: u64) -> ours::Command {
    let texts = |lead: &str| vec![format!("{lead}{seed}"), String::new()];
    ours::Command {
        arguments: texts("a"),
        environment_variables: vec![ours::EnvironmentVariable { name: "N".into(), value: format!("{seed}") }],
        output_files: texts("f"),
        output_directories: texts("d"),
        platform: platform(seed),
        working_directory: format!("w/{seed}"),
        output_paths: texts("o"),
        output_node_properties: texts("p"),
        output_directory_format: 2,
    }
}

fn directory(seed: u64) -> ours::Directory {
    ours::Directory {
        files: vec![ours::FileNode {
            name: format!("f{seed}"),
            digest: Some(digest(seed)),
            is_executable: true,
            node_properties: properties(seed),
        }],
        directories: vec![ours::DirectoryNode { name: format!("d{seed}"), digest: Some(digest(seed ^ 2)) }],
        symlinks: vec![ours::SymlinkNode {
            name: format!("s{seed}"),
            target: "../t".into(),
            node_properties: properties(seed ^ 3),
        }],
        node_properties: properties(seed ^ 4),
    }
}

fn result(seed: u64) -> ours::ActionResult {
    let link = |path: &str| ours::OutputSymlink {
        path: format!("{path}{seed}"),
        target: "t".into(),
        node_properties: properties(seed),
    };
    ours::ActionResult {
        output_files: vec![ours::OutputFile {
            path: format!("o{seed}"),
            digest: Some(digest(seed)),
            is_executable: true,
            contents: vec![1, 2, 3],
            node_properties: properties(seed),
        }],
        output_directories: vec![ours::OutputDirectory {
            path: "out".into(),
            tree_digest: Some(digest(seed)),
            is_topologically_sorted: true,
            root_directory_digest: Some(digest(seed ^ 5)),
        }],
        exit_code: seed as i32,
        stdout_raw: vec![4],
        stdout_digest: Some(digest(seed ^ 6)),
        stderr_raw: vec![5],
        stderr_digest: Some(digest(seed ^ 7)),
        execution_metadata: Some(ours::ExecutedActionMetadata {
            worker: format!("w{seed}"),
            queued_timestamp: timestamp(seed ^ 1),
            worker_start_timestamp: timestamp(seed ^ 2),
            worker_completed_timestamp: timestamp(seed ^ 3),
            input_fetch_start_timestamp: timestamp(seed ^ 4),
            input_fetch_completed_timestamp: timestamp(seed ^ 5),
            execution_start_timestamp: timestamp(seed ^ 6),
            execution_completed_timestamp: timestamp(seed ^ 7),
            output_upload_start_timestamp: timestamp(seed ^ 8),
            output_upload_completed_timestamp: timestamp(seed ^ 9),
            auxiliary_metadata: vec![ours::Any { type_url: "t".into(), value: vec![9] }],
            virtual_execution_duration: Some(ours::Duration { seconds: 3, nanos: 4 }),
        }),
        output_file_symlinks: vec![link("fs")],
        output_directory_symlinks: vec![link("ds")],
        output_symlinks: vec![link("s")],
    }
}

proptest! {
    #[test]
    fn every_message_is_the_published_one(seed in 1u64..) {
        let theirs: published::Action = through(&action(seed));
        prop_assert_eq!(theirs.command_digest.unwrap().hash, digest(seed).hash);
        let theirs: published::Command = through(&command(seed));
        prop_assert_eq!(theirs.working_directory, format!("w/{seed}"));
        let theirs: published::Directory = through(&directory(seed));
        prop_assert!(theirs.files[0].is_executable);
        let tree = ours::Tree { root: Some(directory(seed)), children: vec![directory(seed ^ 1), directory(seed ^ 2)] };
        let theirs: published::Tree = through(&tree);
        prop_assert_eq!(theirs.children.len(), 2);
        let theirs: published::ActionResult = through(&result(seed));
        prop_assert_eq!(theirs.exit_code, seed as i32);
        prop_assert_eq!(theirs.execution_metadata.unwrap().worker, format!("w{seed}"));
    }
}

#[test]
fn empty_messages_are_empty() {
    assert!(ours::Action::default().encode_to_vec().is_empty());
    assert!(ours::Directory::default().encode_to_vec().is_empty());
    let _: published::ActionResult = through(&ours::ActionResult::default());
}
