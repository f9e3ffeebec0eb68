//! Registries with a certificate that only one's own authority vouches for.

use std::path::{Path, PathBuf};
use std::process::Command;

use larder_testing::registry::{DockerRegistry, Setting, Software, is_installed};

use super::world::{World, copy, good, image, refused};

const FILES: &str = "/etc/os-release /app/data";

fn openssl(folder: &Path, args: &str) {
    let output = Command::new("openssl").args(args.split(' ')).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "openssl {args}: {}", String::from_utf8_lossy(&output.stderr));
}

/// An authority (`ca.pem`), and a certificate for 127.0.0.1 by it, with its key.
fn certificates(folder: &Path) -> (PathBuf, PathBuf) {
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    openssl(folder, &format!("req -x509 {key} -keyout ca.key -out ca.pem -days 2 -subj /CN=ca"));
    openssl(folder, &format!("req {key} -keyout server.key -out server.csr -subj /CN=server"));
    std::fs::write(folder.join("names"), "subjectAltName=IP:127.0.0.1,DNS:localhost\n").unwrap();
    openssl(
        folder,
        "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out server.pem -days 2 -extfile names",
    );
    (folder.join("server.pem"), folder.join("server.key"))
}

#[test]
fn a_mirror_with_a_certificate_of_ones_own_authority() {
    if !is_installed("openssl") {
        return;
    }
    let Some(mut world) = World::new() else { return };
    let folder = world.machine.path("certificates");
    std::fs::create_dir(&folder).unwrap();
    let setting = Setting { tls: Some(certificates(&folder)) };
    let Some(secure) = DockerRegistry::start_with(Software::debian(), &setting) else { return };
    copy(
        &format!("oci:{}:latest", world.machine.path("one").display()),
        &format!("docker://{}/app:1", secure.host()),
    );
    let right = good(&world.machine, &format!("cat oci:one {FILES}")).stdout;
    let forget = |world: &World| drop(std::fs::remove_dir_all(world.machine.store()));
    let direct = format!("https://{}/app:1", secure.host());
    let mirrored = format!("{} --mirror {}=https://{}", world.name(), world.registry.host(), secure.host());

    // Nobody vouches for it: the registry itself is refused, with a hint; a mirror is passed over.
    forget(&world);
    let said = refused(&world.machine, &format!("cat {direct} {FILES}"), "TLS");
    assert!(said.contains("UnknownIssuer") && said.contains("SSL_CERT_FILE"), "{said}");
    let read = good(&world.machine, &format!("cat {mirrored} {FILES}"));
    assert!(read.stdout == right, "{}", read.stderr);
    assert_eq!(read.stderr.matches("warning:").count(), 1, "{}", read.stderr);
    assert!(
        read.stderr.contains("a mirror is passed over") && read.stderr.contains("TLS"),
        "{}",
        read.stderr
    );

    // The authority is trusted: both are read, and the registry that the mirror stands in for gives no blob.
    world.machine.env("SSL_CERT_FILE", folder.join("ca.pem"));
    forget(&world);
    assert!(good(&world.machine, &format!("cat {direct} {FILES}")).stdout == right);
    forget(&world);
    let read = good(&world.machine, &format!("cat {mirrored} {FILES}"));
    assert!(read.stdout == right && !read.stderr.contains("warning:"), "{}", read.stderr);
    let pushed = image(&world.machine, &format!("push-toc --unsigned {direct}"));
    assert_eq!(pushed.code(), 0, "{}", pushed.stderr);

    // A name that is not in the certificate.
    let elsewhere = direct.replace("127.0.0.1", "127.0.0.2");
    let said = image(&world.machine, &format!("ls {elsewhere}")).stderr;
    assert!(said.contains("error:") && !said.contains("panicked"), "{said}");

    // Spoken to without TLS, as is the habit on this machine.
    let said = refused(&world.machine, &format!("ls {}/app:1", secure.host()), "");
    assert!(said.contains("hint:"), "{said}");
}
