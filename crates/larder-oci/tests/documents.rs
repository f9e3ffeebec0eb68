//! References and manifests: what is read, as what, and what is refused.
#![expect(clippy::unwrap_used, reason = "tests")]

use bytes::Bytes;
use larder_oci::manifest::{Descriptor, Index, Manifest, ManifestError, media_type};
use larder_oci::{Document, Host, OciDigest, Reference, RepositoryName, Tag, TagOrDigest};

const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

#[test]
fn references_are_read_as_docker_reads_them() {
    let digest = format!("@sha256:{HEX}");
    for (text, full) in [
        ("alpine", "docker.io/library/alpine"),
        ("alpine:3.20", "docker.io/library/alpine:3.20"),
        ("team/app", "docker.io/team/app"),
        ("index.docker.io/alpine", "docker.io/library/alpine"),
        ("localhost/app", "localhost/app"),
        ("localhost:5000/app:v1", "localhost:5000/app:v1"),
        ("registry.example/a/b__c/d-e.f", "registry.example/a/b__c/d-e.f"),
        ("Registry.Example:443/a", "registry.example:443/a"),
        ("host:80/a:80", "host:80/a:80"),
        ("[::1]:5000/a", "[::1]:5000/a"),
        ("http://registry.example/a:b", "http://registry.example/a:b"),
        ("https://127.0.0.1:5000/a", "https://127.0.0.1:5000/a"),
        (&format!("r.io/a:b{digest}"), &format!("r.io/a:b{digest}")),
        (&format!("a{digest}"), &format!("docker.io/library/a{digest}")),
    ] {
        let reference: Reference = text.parse().unwrap();
        assert_eq!(reference.to_string(), full, "{text}");
        assert_eq!(full.parse::<Reference>().unwrap(), reference, "{text}");
    }
}

#[test]
fn what_is_no_reference_is_refused() {
    let long = "a".repeat(256);
    for text in [
        "",
        "/",
        "a/",
        "/a",
        "a//b",
        "A/b",
        "host:0/a",
        "host:/a",
        "a/B",
        "r.io/",
        "r.io",
        "a:",
        ":b",
        "a:b:c",
        "a@",
        "a@sha256:",
        "a b",
        "-a",
        "a-",
        "a..b",
        "a___b",
        "a._b",
        "r.io:x/a",
        "r.io:99999/a",
        "r_o.io:1/a",
        "http://r.io",
        "ftp://r.io/a",
        "[::1/a",
        "[x]/a",
        "../a",
        "a/../b",
        "a?b",
        "a%2fb",
        "r.io/a:-x",
        "ä",
        HEX,
        &long,
        &"x/".repeat(2000),
    ] {
        // `r.io` alone is a name on docker's registry, by docker's own rule.
        assert_eq!(text.parse::<Reference>().is_ok(), text == "r.io", "{text}");
    }
    assert!("a".repeat(129).parse::<Tag>().is_err());
    assert!("a".repeat(128).parse::<Tag>().is_ok());
    let error = "r.io/A".parse::<Reference>().unwrap_err();
    assert_eq!(error.to_string(), "`A` is not a repository's name: it must be in lower case");
}

#[test]
fn plain_http_is_for_loopback_and_for_who_asks() {
    for (host, base) in [
        ("localhost:5000", "http://localhost:5000"),
        ("127.9.9.9", "http://127.9.9.9"),
        ("[::1]", "http://[::1]"),
        ("registry.example", "https://registry.example"),
        ("localhost.example", "https://localhost.example"),
        ("http://registry.example:80", "http://registry.example:80"),
        ("https://localhost:5000/", "https://localhost:5000"),
        ("docker.io", "https://registry-1.docker.io"),
    ] {
        assert_eq!(host.parse::<Host>().unwrap().base(), base, "{host}");
    }
    assert_eq!("r.io".parse::<Host>().unwrap().with_plain_http().base(), "http://r.io");
}

#[test]
fn what_to_ask_for() {
    let which = |text: &str| text.parse::<Reference>().unwrap().which();
    assert_eq!(which("a"), TagOrDigest::Tag(Tag::latest()));
    assert_eq!(which("a:b"), TagOrDigest::Tag("b".parse().unwrap()));
    let digest = OciDigest::sha256(b"");
    assert_eq!(which(&format!("a:b@{digest}")), TagOrDigest::Digest(digest));
    let name: RepositoryName = "a/b".parse().unwrap();
    let reference = Reference::new(Host::docker(), name).with(digest);
    assert_eq!(reference.to_string(), format!("docker.io/a/b@{digest}"));
    assert_eq!(Tag::of_referrers(&digest).as_str(), format!("sha256-{HEX}"));
}

#[test]
fn bytes_of_a_manifest_are_always_the_same() {
    let layer = Descriptor::of(media_type::LAYER, b"x").annotated("z", "1").annotated("a", "2");
    let mut manifest = Manifest::artifact("application/vnd.example", vec![layer]);
    manifest.subject = Some(Descriptor::of(media_type::MANIFEST, b"s"));
    let bytes = manifest.to_bytes();
    let text = std::str::from_utf8(&bytes).unwrap();
    let x = OciDigest::sha256(b"x");
    let empty = OciDigest::sha256(b"{}");
    let s = OciDigest::sha256(b"s");
    assert_eq!(
        text,
        format!(
            r#"{{"schemaVersion":2,"mediaType":"{m}","artifactType":"application/vnd.example","config":{{"mediaType":"{e}","digest":"{empty}","size":2,"data":"e30="}},"layers":[{{"mediaType":"{l}","digest":"{x}","size":1,"annotations":{{"a":"2","z":"1"}}}}],"subject":{{"mediaType":"{m}","digest":"{s}","size":1}}}}"#,
            m = media_type::MANIFEST,
            e = media_type::EMPTY,
            l = media_type::LAYER
        )
    );
    assert_eq!(Manifest::parse(&bytes).unwrap(), manifest);
    let index = Index::new(vec![Descriptor::of(media_type::MANIFEST, &bytes)]);
    assert_eq!(Index::parse(&index.to_bytes()).unwrap(), index);
    assert_eq!(manifest.kind(), "application/vnd.example");
}

fn of(text: &str, said: Option<&str>) -> Result<Document, ManifestError> {
    Document::parse(text.as_bytes(), said)
}

fn descriptor(extra: &str) -> String {
    format!(r#"{{"mediaType":"x/y","digest":"sha256:{HEX}","size":0{extra}}}"#)
}

#[test]
fn unknown_fields_are_dropped_and_null_is_nothing() {
    let d = descriptor(r#","annotations":null,"urls":null,"more":{"a":[1]}"#);
    let text = format!(r#"{{"schemaVersion":2,"config":{d},"layers":null,"annotations":null,"more":1}}"#);
    let Document::Manifest(manifest) = of(&text, Some(media_type::MANIFEST)).unwrap() else { panic!() };
    assert_eq!((manifest.layers.len(), manifest.media_type), (0, None));
    assert_eq!(manifest.config, Descriptor::of("x/y", b""));
}

#[test]
fn dockers_own_types_are_read() {
    let d = descriptor("");
    let (m, i) = (media_type::DOCKER_MANIFEST, media_type::DOCKER_INDEX);
    let manifest = format!(r#"{{"schemaVersion":2,"mediaType":"{m}","config":{d},"layers":[{d}]}}"#);
    assert!(matches!(of(&manifest, Some(m)), Ok(Document::Manifest(_))));
    let index = format!(r#"{{"schemaVersion":2,"mediaType":"{i}","manifests":[{d}]}}"#);
    assert!(matches!(of(&index, Some("application/json; charset=utf-8")), Ok(Document::Index(_))));
}

#[test]
fn what_could_be_two_things_is_refused() {
    let d = descriptor("");
    let both = format!(r#"{{"schemaVersion":2,"config":{d},"layers":[],"manifests":[]}}"#);
    assert_eq!(of(&both, None), Err(ManifestError::Ambiguous));
    let manifest = format!(r#"{{"schemaVersion":2,"config":{d},"layers":[]}}"#);
    assert_eq!(of(&manifest, Some(media_type::INDEX)), Err(ManifestError::Ambiguous));
    let typed = format!(r#"{{"schemaVersion":2,"mediaType":"{}","manifests":[]}}"#, media_type::INDEX);
    assert!(matches!(of(&typed, Some(media_type::MANIFEST)), Err(ManifestError::Types { .. })));
    let twice = format!(r#"{{"schemaVersion":2,"config":{d},"config":{d},"layers":[]}}"#);
    assert!(matches!(of(&twice, None), Err(ManifestError::Json(_))));
}

#[test]
fn what_is_no_manifest_is_refused() {
    let d = descriptor("");
    let with = |d: &str| of(&format!(r#"{{"schemaVersion":2,"config":{d},"layers":[]}}"#), None);
    assert_eq!(of("{}", None), Err(ManifestError::Neither));
    assert_eq!(of(r#"{"schemaVersion":1,"fsLayers":[]}"#, None), Err(ManifestError::Schema1));
    for text in ["", "[]", "nonsense", &"[".repeat(100_000), r#"{"schemaVersion":3,"manifests":[]}"#] {
        assert!(of(text, None).is_err(), "{text:.20}");
    }
    assert!(with(&d).is_ok());
    assert!(matches!(with(&d.replace("\"size\":0", "\"size\":-1")), Err(ManifestError::Json(_))));
    assert!(matches!(
        with(&d.replace("\"size\":0", "\"size\":9223372036854775808")),
        Err(ManifestError::Size(_))
    ));
    assert!(matches!(with(&descriptor(r#","data":"eA==""#)), Err(ManifestError::Data(_))));
    assert!(matches!(with(&descriptor(r#","data":"?""#)), Err(ManifestError::Json(_))));
    assert!(with(&descriptor(r#","data":"""#)).is_ok());
    let many = vec![d.as_str(); 20_000].join(",");
    let index = format!(r#"{{"schemaVersion":2,"manifests":[{many}]}}"#);
    assert!(matches!(of(&index, None), Err(ManifestError::TooMany { .. })));
    assert_eq!(Document::parse(&Bytes::from(vec![b' '; (4 << 20) + 1]), None), Err(ManifestError::TooLong));
}
