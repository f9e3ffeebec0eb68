//! Languages: by which files they are told, and which recipes work for them.
//!
//! Recipes are YAML text with comments, as a person would write it. Paths that tools write are taken out of the inputs, whether or not an ignore file does it.

use std::fs;
use std::path::Path;

/// What a project is written in, by the tool that builds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// `Cargo.toml`.
    Rust,
    /// `go.mod`.
    Go,
    /// `package.json`.
    Node,
    /// `pyproject.toml`, `setup.py`, or tests in Python.
    Python,
    /// `pom.xml`.
    Maven,
    /// `build.gradle`, `build.gradle.kts`.
    Gradle,
    /// `CMakeLists.txt`.
    CMake,
    /// `Makefile`.
    Make,
    /// Sources in C without any of these, in the folder or in `src`.
    C,
}

/// For a folder without anything that is known.
pub(super) const NOTHING: &str = "  hello:
    description: Makes a file; replace it with what your project does
    run: mkdir -p build && echo hello > build/hello.txt
    cache:
      inputs: []
      outputs: [build/hello.txt]
";

impl Language {
    /// Those of a folder.
    pub(super) fn find(folder: &Path) -> Vec<Self> {
        let has = |name: &str| folder.join(name).is_file();
        let told = [
            (has("Cargo.toml"), Self::Rust),
            (has("go.mod"), Self::Go),
            (has("package.json"), Self::Node),
            (has("pyproject.toml") || has("setup.py") || has("setup.cfg"), Self::Python),
            (has("pom.xml"), Self::Maven),
            (has("build.gradle") || has("build.gradle.kts"), Self::Gradle),
            (has("CMakeLists.txt"), Self::CMake),
        ];
        let found: Vec<Self> =
            told.into_iter().filter(|(is_there, _)| *is_there).map(|(_, language)| language).collect();
        // A Makefile beside one of these is most often a list of commands for people.
        if found.is_empty() {
            if has("Makefile") || has("makefile") || has("GNUmakefile") {
                return vec![Self::Make];
            }
            if sources(folder).is_some() {
                return vec![Self::C];
            }
            if has_python_tests(folder) {
                return vec![Self::Python];
            }
        }
        found
    }

    /// Told by sources alone, and not by a file of its tools.
    pub(super) fn is_guess(self) -> bool {
        matches!(self, Self::C | Self::Make)
    }

    /// For people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Rust => "Rust",
            Self::Go => "Go",
            Self::Node => "Node",
            Self::Python => "Python",
            Self::Maven => "Java (Maven)",
            Self::Gradle => "Java (Gradle)",
            Self::CMake => "C or C++ (CMake)",
            Self::Make => "Make",
            Self::C => "C",
        }
    }

    /// Its recipes, as YAML. Beside others of a folder their names begin with the language's.
    pub(super) fn recipes(self, folder: &Path, name: &str, is_only: bool) -> String {
        let prefix = match self {
            _ if is_only => "",
            Self::Rust => "rust-",
            Self::Go => "go-",
            Self::Node => "node-",
            Self::Python => "python-",
            Self::Maven | Self::Gradle => "java-",
            Self::CMake | Self::Make | Self::C => "c-",
        };
        match self {
            Self::Rust => rust(folder, prefix),
            Self::Go => go(folder, prefix),
            Self::Node => node(folder, prefix),
            Self::Python => python(folder, prefix),
            // A class whose source is gone must not come into the archive: both begin with an empty folder.
            Self::Maven => {
                let (maven, tool) = wrapped(folder, "mvnw", "mvn");
                java(prefix, &format!("{maven} -q -B clean package"), tool, "target/*.jar", "'!target/**'")
            }
            Self::Gradle => {
                let (gradle, tool) = wrapped(folder, "gradlew", "gradle");
                let except = "'!build/**', '!.gradle/**'";
                java(
                    prefix,
                    &format!("{gradle} --no-daemon -q clean build"),
                    tool,
                    "build/libs/*.jar",
                    except,
                )
            }
            Self::CMake => cmake(folder, prefix),
            Self::Make => make(prefix),
            Self::C => c(folder, name, prefix),
        }
    }
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// The value of `key = "…"` in a section of a TOML file, as people write it.
fn toml_value(text: &str, section: &str, key: &str) -> Option<String> {
    let mut here = false;
    for line in text.lines().map(str::trim) {
        if let Some(header) = line.strip_prefix('[') {
            here = header.trim_end_matches(']') == section;
        } else if here
            && let Some((name, value)) = line.split_once('=')
            && name.trim() == key
        {
            let value = value.trim().trim_matches(['"', '\'']);
            let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
            return (!value.is_empty() && value.chars().all(is_plain)).then(|| value.to_owned());
        }
    }
    None
}

/// The version of a tool as part of the key. The program that `PATH` finds may be a manager's stand-in (rustup, Volta, pyenv, asdf; `go` that fetches
/// the toolchain of `go.mod`), a file that stays the same when another version is chosen.
fn version(name: &str, command: &str) -> String {
    format!(
        "    # The program may only choose the version, which is then not in its file.\n    variables: {{{name}: '{{{{shell \"{command}\"}}}}'}}\n"
    )
}

fn rust(folder: &Path, prefix: &str) -> String {
    let manifest = read(&folder.join("Cargo.toml"));
    let around = format!(
        "    environment: [CARGO_HOME, RUSTUP_HOME, RUSTUP_TOOLCHAIN, RUSTFLAGS]\n    tools: [cargo]\n{}",
        version("rustc", "rustc -vV")
    );
    let mut text = String::new();
    let mut after = String::new();
    let has_lock = folder.join("Cargo.lock").is_file();
    if !has_lock {
        text.push_str(&format!(
            "  {prefix}lock:\n    description: Writes Cargo.lock; remove this recipe once git has that file\n    \
             run: cargo generate-lockfile\n{around}    cache:\n      \
             inputs: ['**/Cargo.toml', rust-toolchain.toml, rust-toolchain]\n      outputs: [Cargo.lock]\n"
        ));
        after = format!("    dependencies: [{prefix}lock]\n");
    }
    let inputs = "      inputs: ['**', '!target/**']\n";
    let program = toml_value(&manifest, "package", "name").filter(|_| folder.join("src/main.rs").is_file());
    if let Some(program) = program {
        text.push_str(&format!(
            "  {prefix}build:\n    description: Builds the program\n    run: cargo build --release --locked\n\
             {after}{around}    cache:\n{inputs}      outputs: [target/release/{program}]\n"
        ));
    }
    text.push_str(&format!(
        "  {prefix}test:\n    run: cargo test --locked\n{after}{around}    cache:\n{inputs}      outputs: []\n"
    ));
    text
}

fn go(folder: &Path, prefix: &str) -> String {
    let around = format!(
        "    environment: [GOPATH, GOCACHE, GOMODCACHE, GOFLAGS, GOPROXY, GOTOOLCHAIN]\n    tools: [go]\n{}",
        version("go", "go version")
    );
    let inputs = "      inputs: ['**', '!bin/**']\n";
    let is_main = |path: &Path| {
        path.extension().is_some_and(|end| end == "go")
            && read(path).lines().any(|line| line.trim() == "package main")
    };
    let commands = fs::read_dir(folder.join("cmd")).into_iter().flatten().flatten().map(|entry| entry.path());
    let makes = files(folder).iter().any(|path| is_main(path))
        || commands.flat_map(|folder| files(&folder)).any(|path| is_main(&path));
    let mut text = String::new();
    if makes {
        text.push_str(&format!(
            "  {prefix}build:\n    description: Builds the programs into bin\n    run: go build -o bin/ ./...\n\
             {around}    cache:\n{inputs}      outputs: [bin]\n"
        ));
    }
    text.push_str(&format!(
        "  {prefix}test:\n    run: go vet ./... && go test ./...\n{around}    cache:\n{inputs}      outputs: []\n"
    ));
    text
}

fn node(folder: &Path, prefix: &str) -> String {
    let manifest: serde_json::Value =
        serde_json::from_str(&read(&folder.join("package.json"))).unwrap_or_default();
    let has = |name: &str| folder.join(name).is_file();
    // Settings count whether or not they are there.
    let (manager, install, inputs) = if has("pnpm-lock.yaml") {
        let inputs = "pnpm-lock.yaml, pnpm-workspace.yaml, .pnpmfile.cjs, .npmrc";
        ("pnpm", "pnpm install --frozen-lockfile", inputs)
    } else if has("yarn.lock") {
        ("yarn", "yarn install --frozen-lockfile", "yarn.lock, .yarnrc, .yarnrc.yml, .npmrc")
    } else if has("package-lock.json") {
        ("npm", "npm ci", "package-lock.json, .npmrc")
    } else {
        ("npm", "npm install --no-package-lock", ".npmrc")
    };
    let patches = ["patches", ".yarn/patches", ".yarn/plugins", ".yarn/releases"];
    let patches = patches.iter().filter(|name| folder.join(name).is_dir());
    let patches = patches.map(|name| format!(", '{name}/**'")).collect::<String>();
    let version = version("node", "node --version");
    let around = format!("    tools: [node, {manager}]\n{version}");
    let mut text = String::new();
    let mut after = String::new();
    let is_full = |key: &str| manifest[key].as_object().is_some_and(|all| !all.is_empty());
    if is_full("dependencies") || is_full("devDependencies") {
        text.push_str(&format!(
            "  {prefix}install:\n    run: {install}\n{around}    cache:\n      \
             inputs: [package.json, {inputs}{patches}]\n      outputs: [node_modules]\n"
        ));
        after = format!("    dependencies: [{prefix}install]\n");
    }
    let inputs = "      inputs: ['**', '!node_modules/**', '!dist/**', '!build/**']\n";
    let mut count = 0;
    for (script, outputs) in [("build", "['dist/**', 'build/**']"), ("test", "[]"), ("lint", "[]")] {
        if manifest["scripts"][script].is_string() {
            count += 1;
            text.push_str(&format!(
                "  {prefix}{script}:\n    run: {manager} run {script}\n{after}{around}    cache:\n\
                 {inputs}      outputs: {outputs}\n"
            ));
        }
    }
    if count == 0 {
        text.push_str(&format!(
            "  {prefix}check:\n    description: Reads all files in JavaScript; add scripts to package.json\n    \
             run: find . -name '*.js' -not -path './node_modules/*' -exec node --check {{}} +\n{after}    \
             tools: [node]\n{version}    cache:\n{inputs}      outputs: []\n"
        ));
    }
    text
}

fn has_python_tests(folder: &Path) -> bool {
    let is_test = |path: &Path| {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        name.ends_with(".py") && (name.starts_with("test_") || name.ends_with("_test.py"))
    };
    [folder.to_owned(), folder.join("tests"), folder.join("test")]
        .iter()
        .flat_map(|folder| files(folder))
        .any(|path| is_test(&path))
}

fn python(folder: &Path, prefix: &str) -> String {
    let asked: String =
        ["pyproject.toml", "setup.cfg", "setup.py", "requirements.txt", "requirements-dev.txt"]
            .iter()
            .map(|name| read(&folder.join(name)))
            .collect();
    let venv = [".venv", "venv"].into_iter().find(|name| folder.join(name).join("bin/python").exists());
    let python = venv.map_or_else(|| "python3".to_owned(), |venv| format!("{venv}/bin/python"));
    let (before, words) = match (has_python_tests(folder), asked.contains("pytest")) {
        (true, true) => ("", "pytest -q -p no:cacheprovider"),
        (true, false) if folder.join("tests/__init__.py").is_file() || !folder.join("tests").is_dir() => {
            ("", "unittest discover")
        }
        (true, false) => {
            ("PYTHONPATH=.${PYTHONPATH:+:$PYTHONPATH} ", "unittest discover -s tests -p '*test*.py'")
        }
        (false, _) => ("", "compileall -q ."),
    };
    let recipe = if has_python_tests(folder) { "test" } else { "check" };
    let version = version("python", &format!("{python} -VV"));
    let note = if venv.is_some() {
        "    # What is installed there is told by the files that say what to install: they are inputs.\n"
    } else {
        ""
    };
    format!(
        "  {prefix}{recipe}:\n{note}    run: {before}{python} -m {words}\n    environment: [PYTHONPATH, VIRTUAL_ENV]\n    \
         tools: [{python}]\n{version}    cache:\n      inputs: ['**', '!**/__pycache__/**', '!**/*.egg-info/**', '!.venv/**', '!venv/**']\n      outputs: []\n"
    )
}

/// How a tool is called, by the project's wrapper if it has one, and what of it is part of the key.
fn wrapped(folder: &Path, wrapper: &str, tool: &str) -> (String, String) {
    if folder.join(wrapper).is_file() {
        (format!("./{wrapper}"), "java".to_owned())
    } else {
        (tool.to_owned(), format!("java, {tool}"))
    }
}

fn java(prefix: &str, run: &str, tools: String, outputs: &str, except: &str) -> String {
    format!(
        "  {prefix}build:\n    description: Builds and tests\n    run: {run}\n    \
         environment: [JAVA_HOME, MAVEN_OPTS, MAVEN_ARGS, GRADLE_OPTS, GRADLE_USER_HOME]\n    \
         tools: [{tools}]\n    cache:\n      inputs: ['**', {except}]\n      outputs: ['{outputs}']\n"
    )
}

fn cmake(folder: &Path, prefix: &str) -> String {
    let manifest = read(&folder.join("CMakeLists.txt"));
    let is_cxx =
        |path: &Path| path.extension().is_some_and(|end| end == "cpp" || end == "cc" || end == "cxx");
    let compiler = if files(folder).iter().chain(&files(&folder.join("src"))).any(|path| is_cxx(path)) {
        "c++"
    } else {
        "cc"
    };
    let around =
        format!("    environment: [CC, CXX, CFLAGS, CXXFLAGS, LDFLAGS]\n    tools: [cmake, {compiler}]\n");
    let inputs = "      inputs: ['**', '!build/**']\n";
    let mut text = format!(
        "  {prefix}build:\n    run: cmake -S . -B build && cmake --build build\n{around}    cache:\n{inputs}      \
         # The folder holds its own path, so results are for this place alone. Name what others need to share it: [build/NAME]\n      \
         outputs: [build]\n"
    );
    if manifest.contains("enable_testing") || manifest.contains("include(CTest)") {
        text.push_str(&format!(
            "  {prefix}test:\n    # In a copy: what the build made stays as it was recorded.\n    run: |\n      \
             copy=$(mktemp -d) && trap 'rm -rf \"$copy\"' EXIT\n      cp -R build/. \"$copy\"\n      \
             ctest --test-dir \"$copy\" --output-on-failure\n    \
             dependencies: [{prefix}build]\n{around}    cache:\n{inputs}      outputs: []\n"
        ));
    }
    text
}

fn make(prefix: &str) -> String {
    format!(
        "  {prefix}build:\n    # Nothing says what this makes, so it always runs. Name it, and hits are milliseconds:\n    \
         #   cache: {{inputs: ['**/*.c', '**/*.h', Makefile], outputs: [...]}}\n    run: make\n    \
         environment: [CC, CFLAGS, LDFLAGS]\n"
    )
}

/// The folder that has sources in C, relative: `.` or `src`.
fn sources(folder: &Path) -> Option<&'static str> {
    let has = |folder: &Path| files(folder).iter().any(|path| path.extension().is_some_and(|end| end == "c"));
    if has(&folder.join("src")) {
        Some("src/")
    } else if has(folder) {
        Some("")
    } else {
        None
    }
}

fn c(folder: &Path, name: &str, prefix: &str) -> String {
    let place = sources(folder).unwrap_or_default();
    let includes = if folder.join("include").is_dir() { " -Iinclude" } else { "" };
    let has_main = files(&folder.join(place)).iter().any(|path| {
        path.extension().is_some_and(|end| end == "c")
            && read(path).lines().any(|line| line.contains(" main("))
    });
    let (recipe, run, made) = if has_main {
        ("link", format!("cc build/*.o -o build/{name}"), format!("build/{name}"))
    } else {
        ("archive", format!("ar rcsD build/lib{name}.a build/*.o"), format!("build/lib{name}.a"))
    };
    let tool = if has_main { "cc" } else { "ar" };
    format!(
        "  {prefix}compile:\n    matrix:\n      file: {{glob: '{place}*.c'}}\n    \
         run: mkdir -p build && cc -O2 -Wall{includes} -c {{{{sh matrix.file}}}} -o build/{{{{stem matrix.file}}}}.o\n    \
         tools: [cc]\n    cache:\n      inputs: ['{{{{matrix.file}}}}', '**/*.h']\n      outputs: ['build/{{{{stem matrix.file}}}}.o']\n  \
         {prefix}{recipe}:\n    run: {run}\n    dependencies: [{prefix}compile]\n    tools: [{tool}]\n    cache:\n      \
         inputs: ['build/*.o']\n      outputs: [{made}]\n"
    )
}

fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.is_file()).collect()
}
