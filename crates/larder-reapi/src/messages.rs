//! The messages, one struct each; see the crate's header.

use prost::Message;

/// `google.protobuf.Timestamp`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Message)]
pub struct Timestamp {
    /// Seconds since the epoch.
    #[prost(int64, tag = "1")]
    pub seconds: i64,
    /// Nanoseconds, 0 to 999,999,999.
    #[prost(int32, tag = "2")]
    pub nanos: i32,
}

/// `google.protobuf.Duration`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Message)]
pub struct Duration {
    /// Whole seconds.
    #[prost(int64, tag = "1")]
    pub seconds: i64,
    /// Nanoseconds of the same sign.
    #[prost(int32, tag = "2")]
    pub nanos: i32,
}

/// `google.protobuf.Any`.
#[derive(Clone, PartialEq, Eq, Hash, Message)]
pub struct Any {
    /// Names the type of `value`.
    #[prost(string, tag = "1")]
    pub type_url: String,
    /// The encoded message.
    #[prost(bytes = "vec", tag = "2")]
    pub value: Vec<u8>,
}

/// `google.protobuf.UInt32Value`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Message)]
pub struct UInt32Value {
    /// The value.
    #[prost(uint32, tag = "1")]
    pub value: u32,
}

/// `Digest`: hash in lower-case hexadecimal, and size in bytes.
#[derive(Clone, PartialEq, Eq, Hash, Message)]
pub struct Digest {
    /// The hash, lower-case hexadecimal.
    #[prost(string, tag = "1")]
    pub hash: String,
    /// Size of the content in bytes.
    #[prost(int64, tag = "2")]
    pub size_bytes: i64,
}

/// `Platform`: what an action asks of its machine; sorted by name, then value.
#[derive(Clone, PartialEq, Eq, Hash, Message)]
pub struct Platform {
    /// The properties.
    #[prost(message, repeated, tag = "1")]
    pub properties: Vec<Property>,
}

/// `Platform.Property`.
#[derive(Clone, PartialEq, Eq, Hash, Message)]
pub struct Property {
    /// The property's name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// The property's value.
    #[prost(string, tag = "2")]
    pub value: String,
}

/// `Action`: what is run; its digest is the key of its result.
#[derive(Clone, PartialEq, Eq, Hash, Message)]
pub struct Action {
    /// Digest of the `Command`.
    #[prost(message, optional, tag = "1")]
    pub command_digest: Option<Digest>,
    /// Digest of the root `Directory` of the inputs.
    #[prost(message, optional, tag = "2")]
    pub input_root_digest: Option<Digest>,
    /// Kill after this long.
    #[prost(message, optional, tag = "6")]
    pub timeout: Option<Duration>,
    /// The result must not be cached.
    #[prost(bool, tag = "7")]
    pub do_not_cache: bool,
    /// Separates otherwise equal actions.
    #[prost(bytes = "vec", tag = "9")]
    pub salt: Vec<u8>,
    /// What is asked of the machine.
    #[prost(message, optional, tag = "10")]
    pub platform: Option<Platform>,
}

/// `Command.EnvironmentVariable`; sorted by name.
#[derive(Clone, PartialEq, Eq, Hash, Message)]
pub struct EnvironmentVariable {
    /// The variable's name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// The variable's value.
    #[prost(string, tag = "2")]
    pub value: String,
}

/// `Command`: arguments, environment and expected outputs.
#[derive(Clone, PartialEq, Eq, Hash, Message)]
pub struct Command {
    /// Program and arguments.
    #[prost(string, repeated, tag = "1")]
    pub arguments: Vec<String>,
    /// The environment, sorted by name.
    #[prost(message, repeated, tag = "2")]
    pub environment_variables: Vec<EnvironmentVariable>,
    /// Deprecated since 2.1; read only.
    #[prost(string, repeated, tag = "3")]
    pub output_files: Vec<String>,
    /// Deprecated since 2.1; read only.
    #[prost(string, repeated, tag = "4")]
    pub output_directories: Vec<String>,
    /// Deprecated since 2.2; read only.
    #[prost(message, optional, tag = "5")]
    pub platform: Option<Platform>,
    /// Relative to the input root.
    #[prost(string, tag = "6")]
    pub working_directory: String,
    /// Outputs, sorted.
    #[prost(string, repeated, tag = "7")]
    pub output_paths: Vec<String>,
    /// Node properties to keep of outputs.
    #[prost(string, repeated, tag = "8")]
    pub output_node_properties: Vec<String>,
    /// How output directories are described: 0 tree, 1 directory, 2 both.
    #[prost(int32, tag = "9")]
    pub output_directory_format: i32,
}

/// `NodeProperty`.
#[derive(Clone, PartialEq, Eq, Hash, Message)]
pub struct NodeProperty {
    /// The property's name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// The property's value.
    #[prost(string, tag = "2")]
    pub value: String,
}

/// `NodeProperties`: what a node has beside name and content.
#[derive(Clone, PartialEq, Eq, Hash, Message)]
pub struct NodeProperties {
    /// Free properties, sorted by name.
    #[prost(message, repeated, tag = "1")]
    pub properties: Vec<NodeProperty>,
    /// Last modification.
    #[prost(message, optional, tag = "2")]
    pub mtime: Option<Timestamp>,
    /// Permission bits.
    #[prost(message, optional, tag = "3")]
    pub unix_mode: Option<UInt32Value>,
}

/// `FileNode`.
#[derive(Clone, PartialEq, Eq, Hash, Message)]
pub struct FileNode {
    /// One path component.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Digest of the content.
    #[prost(message, optional, tag = "2")]
    pub digest: Option<Digest>,
    /// Any execute bit is set.
    #[prost(bool, tag = "4")]
    pub is_executable: bool,
    /// Mode and others.
    #[prost(message, optional, tag = "6")]
    pub node_properties: Option<NodeProperties>,
}

/// `DirectoryNode`.
#[derive(Clone, PartialEq, Eq, Hash, Message)]
pub struct DirectoryNode {
    /// One path component.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Digest of the encoded `Directory`.
    #[prost(message, optional, tag = "2")]
    pub digest: Option<Digest>,
}

/// `SymlinkNode`.
#[derive(Clone, PartialEq, Eq, Hash, Message)]
pub struct SymlinkNode {
    /// One path component.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Where the link points, as it is stored.
    #[prost(string, tag = "2")]
    pub target: String,
    /// Mode and others.
    #[prost(message, optional, tag = "4")]
    pub node_properties: Option<NodeProperties>,
}

/// `Directory`: the children of one directory, each list sorted by name (as bytes).
#[derive(Clone, PartialEq, Eq, Hash, Message)]
pub struct Directory {
    /// Files.
    #[prost(message, repeated, tag = "1")]
    pub files: Vec<FileNode>,
    /// Directories.
    #[prost(message, repeated, tag = "2")]
    pub directories: Vec<DirectoryNode>,
    /// Symbolic links.
    #[prost(message, repeated, tag = "3")]
    pub symlinks: Vec<SymlinkNode>,
    /// Mode and others of the directory itself.
    #[prost(message, optional, tag = "5")]
    pub node_properties: Option<NodeProperties>,
}

/// `Tree`: a directory with everything below it, in one blob.
#[derive(Clone, PartialEq, Eq, Hash, Message)]
pub struct Tree {
    /// The root.
    #[prost(message, optional, tag = "1")]
    pub root: Option<Directory>,
    /// Every other directory, parents before children when said to be sorted.
    #[prost(message, repeated, tag = "2")]
    pub children: Vec<Directory>,
}

/// `OutputFile`.
#[derive(Clone, PartialEq, Eq, Hash, Message)]
pub struct OutputFile {
    /// Relative to the working directory.
    #[prost(string, tag = "1")]
    pub path: String,
    /// Digest of the content.
    #[prost(message, optional, tag = "2")]
    pub digest: Option<Digest>,
    /// Any execute bit is set.
    #[prost(bool, tag = "4")]
    pub is_executable: bool,
    /// The content, inlined by a server.
    #[prost(bytes = "vec", tag = "5")]
    pub contents: Vec<u8>,
    /// Mode and others.
    #[prost(message, optional, tag = "7")]
    pub node_properties: Option<NodeProperties>,
}

/// `OutputDirectory`.
#[derive(Clone, PartialEq, Eq, Hash, Message)]
pub struct OutputDirectory {
    /// Relative to the working directory.
    #[prost(string, tag = "1")]
    pub path: String,
    /// Digest of the encoded `Tree`.
    #[prost(message, optional, tag = "3")]
    pub tree_digest: Option<Digest>,
    /// Parents come before children in the `Tree`.
    #[prost(bool, tag = "4")]
    pub is_topologically_sorted: bool,
    /// Digest of the root `Directory`.
    #[prost(message, optional, tag = "5")]
    pub root_directory_digest: Option<Digest>,
}

/// `OutputSymlink`.
#[derive(Clone, PartialEq, Eq, Hash, Message)]
pub struct OutputSymlink {
    /// Relative to the working directory.
    #[prost(string, tag = "1")]
    pub path: String,
    /// Where the link points.
    #[prost(string, tag = "2")]
    pub target: String,
    /// Mode and others.
    #[prost(message, optional, tag = "4")]
    pub node_properties: Option<NodeProperties>,
}

/// `ExecutedActionMetadata`: where and when an action ran.
#[derive(Clone, PartialEq, Eq, Hash, Message)]
pub struct ExecutedActionMetadata {
    /// Who ran it.
    #[prost(string, tag = "1")]
    pub worker: String,
    /// When it was queued.
    #[prost(message, optional, tag = "2")]
    pub queued_timestamp: Option<Timestamp>,
    /// When the worker took it.
    #[prost(message, optional, tag = "3")]
    pub worker_start_timestamp: Option<Timestamp>,
    /// When the worker was done.
    #[prost(message, optional, tag = "4")]
    pub worker_completed_timestamp: Option<Timestamp>,
    /// When inputs were begun to be fetched.
    #[prost(message, optional, tag = "5")]
    pub input_fetch_start_timestamp: Option<Timestamp>,
    /// When inputs were there.
    #[prost(message, optional, tag = "6")]
    pub input_fetch_completed_timestamp: Option<Timestamp>,
    /// When the command began.
    #[prost(message, optional, tag = "7")]
    pub execution_start_timestamp: Option<Timestamp>,
    /// When the command ended.
    #[prost(message, optional, tag = "8")]
    pub execution_completed_timestamp: Option<Timestamp>,
    /// When outputs were begun to be stored.
    #[prost(message, optional, tag = "9")]
    pub output_upload_start_timestamp: Option<Timestamp>,
    /// When outputs were stored.
    #[prost(message, optional, tag = "10")]
    pub output_upload_completed_timestamp: Option<Timestamp>,
    /// Free; Larder's signature travels here to REAPI servers.
    #[prost(message, repeated, tag = "11")]
    pub auxiliary_metadata: Vec<Any>,
    /// Time on a virtual clock.
    #[prost(message, optional, tag = "12")]
    pub virtual_execution_duration: Option<Duration>,
}

/// `ActionResult`: what came out of an action.
#[derive(Clone, PartialEq, Eq, Hash, Message)]
pub struct ActionResult {
    /// Files.
    #[prost(message, repeated, tag = "2")]
    pub output_files: Vec<OutputFile>,
    /// Directories.
    #[prost(message, repeated, tag = "3")]
    pub output_directories: Vec<OutputDirectory>,
    /// The command's exit code.
    #[prost(int32, tag = "4")]
    pub exit_code: i32,
    /// Standard output, inlined.
    #[prost(bytes = "vec", tag = "5")]
    pub stdout_raw: Vec<u8>,
    /// Digest of standard output.
    #[prost(message, optional, tag = "6")]
    pub stdout_digest: Option<Digest>,
    /// Standard error, inlined.
    #[prost(bytes = "vec", tag = "7")]
    pub stderr_raw: Vec<u8>,
    /// Digest of standard error.
    #[prost(message, optional, tag = "8")]
    pub stderr_digest: Option<Digest>,
    /// Where and when it ran.
    #[prost(message, optional, tag = "9")]
    pub execution_metadata: Option<ExecutedActionMetadata>,
    /// Deprecated since 2.1; read only.
    #[prost(message, repeated, tag = "10")]
    pub output_file_symlinks: Vec<OutputSymlink>,
    /// Deprecated since 2.1; read only.
    #[prost(message, repeated, tag = "11")]
    pub output_directory_symlinks: Vec<OutputSymlink>,
    /// Symbolic links.
    #[prost(message, repeated, tag = "12")]
    pub output_symlinks: Vec<OutputSymlink>,
}
