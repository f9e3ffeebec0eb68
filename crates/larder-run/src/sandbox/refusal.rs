//! Why a sandbox cannot be had here, and what could be done: a hint for what the system said.

use std::path::Path;

use rustix::io::Errno;

use crate::process::{Refused, SpawnError};

/// What a person can do about it; `None` if it is about something else than a sandbox.
#[must_use]
pub fn hint(error: &SpawnError) -> Option<String> {
    let SpawnError::Enclosure { refused, source, .. } = error else { return None };
    Some(advice(*refused, Errno::from_io_error(source), &setting).to_owned())
}

fn setting(name: &str) -> Option<String> {
    let text = std::fs::read_to_string(Path::new("/proc/sys").join(name)).ok()?;
    Some(text.trim().to_owned())
}

/// `setting`: what a kernel's setting is now.
fn advice(refused: Refused, errno: Option<Errno>, setting: &dyn Fn(&str) -> Option<String>) -> &'static str {
    let is_denied = matches!(errno, Some(Errno::PERM | Errno::ACCESS));
    let is = |name: &str, value: &str| setting(name).as_deref() == Some(value);
    if errno == Some(Errno::NOSYS) {
        return "sandboxes need Linux 5.12 or newer, and a container that lets its system calls through";
    }
    if refused == Refused::Mounts && errno == Some(Errno::NOSPC) {
        return "each declared input is a mount, and there are more than the kernel allows: raise `sysctl fs.mount-max`, \
                or make the inputs one folder that a dependency has as its output";
    }
    if is("user/max_user_namespaces", "0") || matches!(errno, Some(Errno::NOSPC | Errno::USERS)) {
        return "this machine allows no more user namespaces: raise `sysctl user.max_user_namespaces`";
    }
    if is_denied && is("kernel/unprivileged_userns_clone", "0") {
        return "this machine allows user namespaces to root alone: `sysctl kernel.unprivileged_userns_clone=1`";
    }
    if is_denied && is("kernel/apparmor_restrict_unprivileged_userns", "1") {
        return "AppArmor keeps programs without a profile from using user namespaces: \
                `sysctl kernel.apparmor_restrict_unprivileged_userns=0`, or a profile for `larder` with `userns`";
    }
    match refused {
        Refused::Namespaces if errno == Some(Errno::INVAL) => "this kernel was built without user namespaces",
        Refused::Namespaces | Refused::Users | Refused::Mounts if is_denied => {
            "in a container, let it make namespaces and mounts (for Docker: `--security-opt seccomp=unconfined`, and \
             `--security-opt apparmor=unconfined` or `--privileged`); inside `chroot` there can be none"
        }
        _ => "without a sandbox the recipe runs if its `sandbox` is removed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_has_advice_that_fits() {
        let set = |name: &'static str, value: &'static str| {
            move |asked: &str| (asked == name).then(|| value.to_owned())
        };
        let none = |_: &str| None;
        let denied = Some(Errno::PERM);
        let cases = [
            (
                advice(Refused::Namespaces, denied, &set("user/max_user_namespaces", "0")),
                "max_user_namespaces",
            ),
            (advice(Refused::Namespaces, Some(Errno::NOSPC), &none), "max_user_namespaces"),
            (
                advice(Refused::Namespaces, denied, &set("kernel/unprivileged_userns_clone", "0")),
                "unprivileged_userns_clone=1",
            ),
            (
                advice(
                    Refused::Mounts,
                    Some(Errno::ACCESS),
                    &set("kernel/apparmor_restrict_unprivileged_userns", "1"),
                ),
                "AppArmor",
            ),
            (advice(Refused::Mounts, Some(Errno::NOSPC), &none), "fs.mount-max"),
            (advice(Refused::Mounts, denied, &none), "in a container"),
            (advice(Refused::Mounts, Some(Errno::NOSYS), &none), "Linux 5.12"),
            (advice(Refused::Namespaces, Some(Errno::INVAL), &none), "built without"),
            (advice(Refused::Mounts, Some(Errno::NOENT), &none), "is removed"),
        ];
        for (advice, word) in cases {
            assert!(advice.contains(word), "`{advice}` does not say `{word}`");
        }
    }
}
