//! Without the network.

use std::process::Command;

use crate::world::{World, can_have_sandboxes};

const LOOK: &str = "  look:
    cache: {inputs: [], outputs: []}
    sandbox: {network: false}
    run: |
      echo $(tail -n +3 /proc/net/dev | cut -d ':' -f1)
      echo $(ls /sys/class/net /sys/devices/virtual/net)
      echo $(find /sys/devices -path '*/net/*' -prune -print 2>/dev/null)
      echo $(ls -d /sys/devices/system/cpu /sys/fs/cgroup)
      (echo 1 > /sys/kernel/mm/ksm/run) 2>/dev/null || echo read-only
  shared:
    cache: {inputs: [], outputs: []}
    sandbox: true
    run: ls /sys/class/net
";

#[test]
fn there_is_a_loopback_and_nothing_else() {
    World::each(LOOK, &[], |world| {
        let said = world.said("look");
        let lines: Vec<&str> = said.lines().collect();
        let there = "/sys/devices/system/cpu /sys/fs/cgroup";
        let own =
            ["lo", "/sys/class/net: lo /sys/devices/virtual/net: lo", "/sys/devices/virtual/net/lo", there];
        let covered = ["lo", "/sys/class/net: /sys/devices/virtual/net:", "", there];
        assert!(lines[..4] == own || lines[..4] == covered, "{said}");
        assert_eq!(lines[4], "read-only");
        let cards = std::fs::read_dir("/sys/class/net").expect("sysfs").count();
        assert_eq!(world.said("shared").lines().count(), cards);
    });
}

#[test]
fn where_the_kernel_refuses_another_sysfs_the_cards_are_covered() {
    if !can_have_sandboxes() {
        return;
    }
    let world = World::new(LOOK);
    let larder = world.command(&[]);
    // What a container does: parts of its sysfs are hidden, for good.
    let script = format!(
        "mount -t tmpfs none /sys/kernel && exec unshare --user --map-root-user --mount -- {} run look --output stream",
        larder.get_program().to_string_lossy()
    );
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", &script]);
    command.current_dir(world.project.root()).env_clear();
    command.envs(larder.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = command.output().expect("unshare is there");
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    let covered = "lo\n/sys/class/net: /sys/devices/virtual/net:\n\n/sys/devices/system/cpu /sys/fs/cgroup\nread-only\n";
    assert!(text.contains(covered), "{text}");
}
