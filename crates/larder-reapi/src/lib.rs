//! The messages of the Remote Execution API that Larder stores.
