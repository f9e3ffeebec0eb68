//! A chunk list node from anywhere: refused, or the very bytes again.
#![no_main]

use larder_core::chunk_list::Node;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(node) = Node::decode(bytes) {
        assert_eq!(node.encode(), bytes);
    }
});
