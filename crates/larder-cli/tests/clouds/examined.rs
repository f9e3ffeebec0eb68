//! What `larder doctor` finds in buckets: rights, and whether a server keeps to the condition that an object be created only
//! when it is absent. Some ignore it and do not say so; the examination finds that out by trying.

use serde_json::Value;

use crate::servers::{self, Kind, Server};
use crate::world::{machine, prefix};

/// What the doctor says of the server's tier.
fn examined(server: &Server, prefix: &str) -> Value {
    let machine = machine(&server.config(prefix), &server.credentials());
    let output = machine.larder(env!("CARGO_BIN_EXE_larder"), ["doctor", "--json"]);
    let lines: Vec<Value> =
        output.stdout.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect();
    let tier = lines.iter().find(|line| line["part"] == server.tier() && line.get("may").is_some());
    tier.unwrap_or_else(|| panic!("{}: {}\n{}", server.name, output.stdout, output.stderr)).clone()
}

#[test]
fn who_ignores_conditions_is_found_out() {
    for server in servers::all().into_iter().filter(|server| server.kind != Kind::Gcs) {
        let found = examined(&server, &prefix());
        assert_eq!(found["ok"], true, "{}: {found}", server.name);
        assert_eq!(found["may"], serde_json::json!(["read", "write", "list", "delete"]), "{}", server.name);
        assert_eq!(found["creates"], server.name != "garage", "{}: {found}", server.name);
    }
}

#[test]
fn rights_to_read_only_are_found_out() {
    for (_, reader) in servers::readers() {
        let found = examined(&reader, &prefix());
        assert_eq!(found["may"], serde_json::json!(["read", "list"]), "{}: {found}", reader.name);
        assert_eq!(found["creates"], Value::Null, "{}: {found}", reader.name);
    }
}
