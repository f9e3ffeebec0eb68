//! One real program: ten successive builds of it, for the figure on successive builds, and its source.
//!
//! The source is a Debian source package, fetched with a private apt configuration into the cache folder when the bench
//! runs: a network and Debian's apt are needed, and what fails is reported. The builds differ as real ones do: before
//! each, one source file gets one function more; objects, archive and program are then built as a Makefile would.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use super::{Setting, measure, remove};
use crate::Result;

/// How many builds.
pub(crate) const BUILDS: usize = 10;

/// Fetches and unpacks the source into the current folder. Reads the machine's own package sources.
const FETCH: &str = r#"
mkdir -p apt/parts apt/lists/partial apt/cache/archives/partial
for file in /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list; do
  if [ -f $file ]; then sed 's/^Types: deb$/Types: deb-src/; s/^deb /deb-src /' $file > apt/parts/source.${file##*.}; fi
done
apt="-o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts=$PWD/apt/parts -o Dir::State::lists=$PWD/apt/lists
  -o Dir::Cache=$PWD/apt/cache -o APT::Sandbox::User=root"
apt-get $apt -q update
apt-get $apt -q source --download-only mbedtls
mkdir source
tar -C source --strip-components=1 -xf mbedtls_*.orig.tar.*
test -f source/library/aes.c
"#;

/// Compiles what is newer than its object, archives and links, in the source's folder.
const BUILD: &str = r#"
mkdir -p out
for file in library/*.c programs/test/selftest.c; do
  name=${file##*/}
  object=out/${name%.c}.o
  if [ ! -f $object ] || [ $file -nt $object ]; then cc -O2 -Iinclude -Ilibrary -c $file -o $object; fi
done
rm -f out/libmbedtls.a out/selftest
ar rcsD out/libmbedtls.a $(ls out/*.o | grep -v selftest)
cc -o out/selftest out/selftest.o out/libmbedtls.a
"#;

/// The source, fetched if it is not there yet. Not to be changed.
pub(crate) fn fetched(setting: &Setting) -> Result<PathBuf> {
    let cached = setting.cache.join("mbedtls");
    if !cached.join("source").is_dir() {
        remove(&cached)?;
        fs::create_dir_all(&cached)?;
        shell(setting, FETCH, &cached, &setting.env(&setting.work, &[]))?;
    }
    Ok(cached.join("source"))
}

/// The folders of the builds' outputs, oldest first.
pub(crate) fn builds(setting: &Setting) -> Result<Vec<PathBuf>> {
    let source = fetched(setting)?;
    let env = setting.env(&setting.work, &[]);
    let tree = setting.work.join("program");
    remove(&tree)?;
    shell(setting, "exec cp -r . \"$INTO\"", &source, &with(&env, "INTO", &tree))?;
    let mut sources: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(tree.join("library"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "c") {
            sources.push(path);
        }
    }
    sources.sort();
    let mut out = Vec::new();
    for build in 0..BUILDS {
        let file = sources.get(build * sources.len() / BUILDS).ok_or("the source has no C files")?;
        let mut file = fs::OpenOptions::new().append(true).open(file)?;
        writeln!(
            file,
            "\nint bench_build_{build}(int x);\nint bench_build_{build}(int x) {{ return x * {build}; }}"
        )?;
        drop(file);
        shell(setting, BUILD, &tree, &env)?;
        let kept = setting.work.join(format!("builds/{build:02}"));
        fs::create_dir_all(kept.parent().ok_or("a build has a parent")?)?;
        shell(setting, "exec cp -r out \"$INTO\"", &tree, &with(&env, "INTO", &kept))?;
        out.push(kept);
    }
    Ok(out)
}

fn with(env: &[(String, String)], name: &str, path: &Path) -> Vec<(String, String)> {
    let mut env = env.to_vec();
    env.push((name.to_owned(), path.display().to_string()));
    env
}

fn shell(setting: &Setting, script: &str, dir: &Path, env: &[(String, String)]) -> Result<()> {
    measure::run(&["sh", "-e", "-c", script].map(str::to_owned), dir, env, &setting.log())?;
    Ok(())
}
