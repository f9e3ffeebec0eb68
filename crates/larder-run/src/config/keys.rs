//! What the files may say: each key with its type and what it means. The one table of them.
//!
//! The parser takes the keys it knows from here ([`Reader::map`](super::decode::Reader::map)), and the schemas for editors are made from it
//! ([`super::schema`]), so that neither knows a key that the other does not. Types are checked where values are used, after rendering; tests hold the
//! two together.

use crate::recipe::Mode;

/// A map whose keys are known.
#[derive(Debug)]
pub struct Table {
    /// Its name among the definitions of a schema.
    pub name: &'static str,
    /// What it is.
    pub doc: &'static str,
    /// Its keys, in the order in which people write them.
    pub keys: &'static [Key],
    /// Keys that do not belong here, with what to do instead; they are refused even if they are in `keys`.
    pub elsewhere: &'static [(&'static str, &'static str)],
    /// At least one of these must be there.
    pub one_of: &'static [&'static str],
}

/// One key.
#[derive(Debug)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// What its value is.
    pub kind: Kind,
    /// What it means, in a line.
    pub doc: &'static str,
    /// It must be there.
    pub is_required: bool,
    /// Only known in this mode.
    pub only: Option<Mode>,
}

/// What a value is.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// The name of something, as selectors take it.
    Name,
    /// Text.
    Text,
    /// A list of text.
    Texts,
    /// Text, or a list of it.
    TextOrTexts,
    /// `true` or `false`.
    Flag,
    /// A whole number from 0.
    Count,
    /// A number.
    Number,
    /// Bytes, or text such as `10G`.
    Size,
    /// Seconds, or text such as `90s`.
    Duration,
    /// One of these words.
    Word(&'static [&'static str]),
    /// Whatever.
    Any,
    /// A plain value, or nothing but text, a number, a boolean.
    Scalar,
    /// Any keys, any values.
    Values,
    /// Any keys, each value of this kind.
    Each(&'static Kind),
    /// A list of this kind.
    List(&'static Kind),
    /// Known keys.
    Map(&'static Table),
    /// One of these kinds.
    Either(&'static [Kind]),
}

/// A key that may be left out.
#[must_use]
pub const fn key(name: &'static str, kind: Kind, doc: &'static str) -> Key {
    Key { name, kind, doc, is_required: false, only: None }
}

const fn required(name: &'static str, kind: Kind, doc: &'static str) -> Key {
    Key { is_required: true, ..key(name, kind, doc) }
}

impl Table {
    /// One without anything: what a table does not say of itself.
    pub const PLAIN: Self = Self { name: "", doc: "", keys: &[], elsewhere: &[], one_of: &[] };

    /// Whether a key is known here.
    #[must_use]
    pub fn knows(&self, key: &str, mode: Mode) -> bool {
        self.elsewhere(key).is_none() && self.names(mode).any(|name| name == key)
    }

    /// The names of the keys.
    pub fn names(&self, mode: Mode) -> impl Iterator<Item = &'static str> {
        let is_here = move |key: &&Key| key.only.is_none_or(|only| only == mode);
        self.keys.iter().filter(is_here).map(|key| key.name).filter(|name| self.elsewhere(name).is_none())
    }

    /// What to do instead of this key.
    #[must_use]
    pub fn elsewhere(&self, key: &str) -> Option<&'static str> {
        self.elsewhere.iter().find(|(name, _)| *name == key).map(|(_, hint)| *hint)
    }

    /// The keys that must be there.
    pub fn required(&self) -> impl Iterator<Item = &'static str> {
        self.keys.iter().filter(|key| key.is_required).map(|key| key.name)
    }
}

const NAMES: Kind = Kind::Texts;
const OVERRIDES: Kind = Kind::Each(&Kind::Values);

/// The root file.
pub static PROJECT: Table = Table {
    name: "project",
    doc: "The root file of a project: `larder.yml`",
    keys: &[
        required("name", Kind::Name, "The project's name; part of every key"),
        key("description", Kind::Text, "For people"),
        key("default", Kind::Texts, "Selectors for `larder run` without any"),
        key("variables", Kind::Values, "Values that templates see as `{{var.NAME}}`"),
        key("overrides", OVERRIDES, "Variables for an environment, chosen with `--env`"),
        key(
            "environment",
            NAMES,
            "Names of environment variables that recipes see; their values are part of keys",
        ),
        key("env_file", Kind::TextOrTexts, "Files of `NAME=value` lines; what they define is declared"),
        key("config", Kind::Map(&CONFIG), "How recipes are run, and where results are kept"),
    ],
    elsewhere: &[
        (
            "recipes",
            "recipes belong into a `cookbook.yml`, beside this file or in a folder below: `name: NAME`, and then `recipes:`",
        ),
        (
            "cookbooks",
            "leave it out: cookbooks are found by their names, `cookbook.yml` and `NAME.cookbook.yml`",
        ),
    ],
    ..Table::PLAIN
};

/// `config:` of the root file.
pub static CONFIG: Table = Table {
    name: "config",
    doc: "How recipes are run, and where results are kept",
    keys: &[
        key("maxParallel", Kind::Count, "Recipes at once (default: as many as cores)"),
        key("reservedThreads", Kind::Count, "Cores left free"),
        key("fastFail", Kind::Flag, "A failure stops what has not begun (default: true)"),
        key("verbose", Kind::Flag, "Without effect: `-v` does it"),
        key(
            "cleanEnvironment",
            Kind::Flag,
            "Recipes without `cache` see only declared environment too (default: true)",
        ),
        key("trace", TRACE_MODE, "How recipes are watched that do not say it themselves (default: off)"),
        key("minVersion", Kind::Text, "The oldest Larder that may run this"),
        key("cache", Kind::Map(&CACHE_SETTINGS), "Where results are kept"),
        // How bake updates itself: nothing to say about it here.
        Key { only: Some(Mode::Bake), ..key("update", Kind::Any, "Of bake alone") },
    ],
    ..Table::PLAIN
};

/// `config.cache`.
pub static CACHE_SETTINGS: Table = Table {
    name: "cacheSettings",
    doc: "Where results are kept",
    keys: &[
        key("local", Kind::Map(&LOCAL), "The store on this machine"),
        key("remotes", Kind::Map(&REMOTES), "Tiers that are shared"),
        key("order", Kind::List(&Kind::Word(TIERS_AND_LOCAL)), "The order in which tiers are asked"),
        key(
            "signing",
            Kind::Either(&[Kind::Word(&["off"]), Kind::Map(&SECRET)]),
            "`off`: unsigned results will do, where the user's `trust.yml` permits it",
        ),
        key("chunking", Kind::Map(&CHUNKING), "Sizes of chunks"),
    ],
    ..Table::PLAIN
};

/// `config.cache.local`.
pub static LOCAL: Table = Table {
    name: "localCache",
    doc: "The store on this machine",
    keys: &[
        key("enabled", Kind::Flag, "Used at all (default: true)"),
        key("path", Kind::Text, "Its folder (default: the user's)"),
        key("compressionLevel", Kind::Count, "Level of zstd"),
        key("maxSize", Kind::Size, "What eviction keeps below: `10G`, `512MiB`"),
    ],
    ..Table::PLAIN
};

/// `config.cache.chunking`.
pub static CHUNKING: Table = Table {
    name: "chunking",
    doc: "Sizes of chunks",
    keys: &[
        key("min", Kind::Size, "The smallest"),
        key("average", Kind::Size, "Aimed at"),
        key("max", Kind::Size, "The largest"),
    ],
    ..Table::PLAIN
};

/// `{key: …}`.
pub static SECRET: Table = Table {
    name: "key",
    doc: "A key",
    keys: &[key("key", Kind::Text, "The key; everyone knows it who has the repository")],
    ..Table::PLAIN
};

/// `config.cache.remotes`.
pub static REMOTES: Table = Table {
    name: "remotes",
    doc: "Tiers that are shared, in the order in which they are asked",
    keys: &[
        key("enabled", Kind::Flag, "Used at all (default: true)"),
        key("s3", Kind::Map(&S3), "A bucket of S3, or of what speaks it"),
        key("gcs", Kind::Map(&GCS), "A bucket of Google Cloud Storage"),
        key("azure", Kind::Map(&AZURE), "A container of Azure"),
        key("dir", Kind::Map(&DIR), "A folder"),
        key("oci", Kind::Map(&OCI), "A repository of an OCI registry"),
        key("reapi", Kind::Map(&REAPI), "A server of the Remote Execution API"),
    ],
    ..Table::PLAIN
};

/// Names of tiers.
pub const TIERS: &[&str] = &["s3", "gcs", "azure", "dir", "oci", "reapi"];
const TIERS_AND_LOCAL: &[&str] = &["local", "s3", "gcs", "azure", "dir", "oci", "reapi"];

const LEVEL: Key = key("compressionLevel", Kind::Count, "Level of zstd");
const FLAG_OR_SECRET: &[Kind] = &[Kind::Flag, Kind::Map(&SECRET)];
const ENCRYPTION: Key =
    key("encryption", Kind::Either(FLAG_OR_SECRET), "`true`: encrypted with the key in `LARDER_TIER_KEY`");
const PREFIX: Key = key("prefix", Kind::Text, "What names begin with");
const ENDPOINT: Key = key("endpoint", Kind::Text, "Its address, if not the usual one");

/// A tier by its name.
#[must_use]
pub fn tier(name: &str) -> Option<&'static Table> {
    [&S3, &GCS, &AZURE, &DIR, &OCI, &REAPI].into_iter().find(|table| table.name == name)
}

/// `config.cache.remotes.s3`.
pub static S3: Table = Table {
    name: "s3",
    doc: "A bucket of S3, or of what speaks it",
    keys: &[
        required("bucket", Kind::Text, "The bucket"),
        key("region", Kind::Text, "Its region"),
        PREFIX,
        ENDPOINT,
        LEVEL,
        ENCRYPTION,
    ],
    ..Table::PLAIN
};

/// `config.cache.remotes.gcs`.
pub static GCS: Table = Table {
    name: "gcs",
    doc: "A bucket of Google Cloud Storage",
    keys: &[required("bucket", Kind::Text, "The bucket"), PREFIX, ENDPOINT, LEVEL, ENCRYPTION],
    ..Table::PLAIN
};

/// `config.cache.remotes.azure`.
pub static AZURE: Table = Table {
    name: "azure",
    doc: "A container of Azure",
    keys: &[
        required("account", Kind::Text, "The account"),
        required("container", Kind::Text, "The container"),
        PREFIX,
        ENDPOINT,
        LEVEL,
        ENCRYPTION,
    ],
    ..Table::PLAIN
};

/// `config.cache.remotes.dir`.
pub static DIR: Table = Table {
    name: "dir",
    doc: "A folder",
    keys: &[required("path", Kind::Text, "The folder"), LEVEL, ENCRYPTION],
    ..Table::PLAIN
};

/// `config.cache.remotes.oci`.
pub static OCI: Table = Table {
    name: "oci",
    doc: "A repository of an OCI registry",
    keys: &[required("reference", Kind::Text, "`HOST/REPOSITORY`"), LEVEL, ENCRYPTION],
    ..Table::PLAIN
};

/// `config.cache.remotes.reapi`.
pub static REAPI: Table = Table {
    name: "reapi",
    doc: "A server of the Remote Execution API",
    keys: &[
        required("endpoint", Kind::Text, "Its address: `grpc://HOST:PORT`, `grpcs://…`"),
        key("instance", Kind::Text, "The instance there"),
        LEVEL,
        ENCRYPTION,
    ],
    ..Table::PLAIN
};

/// `trace`, of a recipe or of all.
const TRACE_MODE: Kind = Kind::Either(&[Kind::Word(TRACE_MODES), Kind::Map(&TRACE)]);
const TRACE_MODES: &[&str] = &["off", "warn", "strict"];

/// `trace` as a map.
pub static TRACE: Table = Table {
    name: "trace",
    doc: "What commands are seen to touch, against what is declared",
    keys: &[
        key("mode", Kind::Word(TRACE_MODES), "`warn` names it, `strict` does not cache"),
        key("ignore", Kind::Texts, "Patterns that are not in question, from the cookbook or `~/`"),
    ],
    ..Table::PLAIN
};

/// `sandbox` as a map.
pub static SANDBOX: Table = Table {
    name: "sandbox",
    doc: "What a recipe sees of the machine",
    keys: &[
        key("network", Kind::Flag, "The machine's network is seen (default: true)"),
        key("folders", Kind::Texts, "Folders of the machine that are seen, too: `/…` or `~/…`"),
    ],
    ..Table::PLAIN
};

/// A cookbook.
pub static COOKBOOK: Table = Table {
    name: "cookbook",
    doc: "Recipes that belong to a folder: `cookbook.yml` or `NAME.cookbook.yml`",
    keys: &[
        required("name", Kind::Name, "The cookbook's name, unique in the project"),
        key("description", Kind::Text, "For people"),
        key("tags", Kind::Texts, "Tags of recipes that have none of their own"),
        key(
            "environment",
            NAMES,
            "Names of environment variables that recipes see; their values are part of keys",
        ),
        key("env_file", Kind::TextOrTexts, "Files of `NAME=value` lines; what they define is declared"),
        key("variables", Kind::Values, "Values that templates see as `{{var.NAME}}`"),
        key("overrides", OVERRIDES, "Variables for an environment, chosen with `--env`"),
        required("recipes", Kind::Each(&Kind::Map(&RECIPE)), "The recipes, by name"),
    ],
    ..Table::PLAIN
};

/// A recipe.
pub static RECIPE: Table = Table {
    name: "recipe",
    doc: "What is run, with what it reads and makes",
    keys: &[
        key("description", Kind::Text, "One line for `larder run --list`"),
        key("run", Kind::Text, "The command, given to the shell"),
        key(
            "dependencies",
            Kind::Texts,
            "What runs before: `recipe`, `cookbook:recipe`, `recipe[value]` for one instance of a matrix",
        ),
        key("cache", Kind::Map(&CACHE), "What the recipe reads and makes; without it the recipe always runs"),
        key(
            "environment",
            NAMES,
            "Names of environment variables that it sees; their values are part of its key",
        ),
        key("variables", Kind::Values, "Values that templates see as `{{var.NAME}}`"),
        key("overrides", OVERRIDES, "Variables for an environment, chosen with `--env`"),
        key("tags", Kind::Texts, "For `-t`; in place of the cookbook's"),
        key("template", Kind::Text, "The template that it is made from"),
        key("parameters", Kind::Values, "Parameters of the template"),
        key("shell", Kind::TextOrTexts, "The shell and its options (default: `sh -e -c`)"),
        key("tools", Kind::Texts, "Programs whose content is part of the key"),
        key("timeout", Kind::Duration, "Killed after this long: `90s`, `500ms`, `1h30m`, or seconds"),
        key("retries", Kind::Count, "How often it runs again after a failure, each time from a clean start"),
        key("persistent", Kind::Flag, "A server or watcher: never cached, ends with the run"),
        key(
            "sandbox",
            Kind::Either(&[Kind::Flag, Kind::Map(&SANDBOX)]),
            "Only declared inputs, declared tools and the system are seen",
        ),
        key("trace", TRACE_MODE, "What is read and not declared: `warn` names it, `strict` does not cache"),
        key("incremental", Kind::Flag, "Outputs are kept before a run; results stay on this machine"),
        key("relocatable", Kind::Flag, "Outputs hold no path of this machine"),
        key("when", Kind::Any, "Skipped if this is false, empty, `0`, `no` or `off`"),
        key("matrix", Kind::Each(&AXIS), "One instance for each value, or for each combination of values"),
    ],
    one_of: &["run", "template"],
    ..Table::PLAIN
};

const AXIS: Kind = Kind::Either(&[Kind::List(&Kind::Scalar), Kind::Map(&GLOB)]);

/// An axis of files.
pub static GLOB: Table = Table {
    name: "glob",
    doc: "Files that match, relative to the cookbook",
    keys: &[required("glob", Kind::TextOrTexts, "A pattern, or a list with `!` exclusions")],
    ..Table::PLAIN
};

/// `cache:` of a recipe.
pub static CACHE: Table = Table {
    name: "cache",
    doc: "What a recipe reads and makes",
    keys: &[
        key(
            "inputs",
            Kind::Texts,
            "What it reads: globs relative to the cookbook, `!` excludes (default: the cookbook's folder)",
        ),
        key("outputs", Kind::Texts, "What it makes; none: success and the log are what is cached"),
    ],
    ..Table::PLAIN
};

/// A template of recipes.
pub static TEMPLATE: Table = Table {
    name: "template",
    doc: "A template of recipes: `.larder/templates/*.yml`",
    keys: &[
        required("name", Kind::Name, "What recipes call it"),
        key("description", Kind::Text, "For people"),
        key("extends", Kind::Text, "The template that it adds to"),
        key(
            "parameters",
            Kind::Each(&Kind::Map(&PARAMETER)),
            "What recipes give it, seen as `{{params.NAME}}`",
        ),
        required("template", Kind::Map(&TEMPLATE_RECIPE), "Fields of a recipe"),
    ],
    ..Table::PLAIN
};

/// `template:` of a template.
pub static TEMPLATE_RECIPE: Table = Table {
    name: "templateRecipe",
    doc: "Fields of a recipe",
    keys: RECIPE.keys,
    elsewhere: &[
        ("template", "a template adds to another with `extends: NAME`, beside its own `name`"),
        ("parameters", "parameters are declared beside the template's own `name`"),
    ],
    ..Table::PLAIN
};

/// A parameter of a template or a helper.
pub static PARAMETER: Table = Table {
    name: "parameter",
    doc: "What a parameter may be",
    keys: &[
        required("type", Kind::Word(&["string", "number", "boolean", "array", "object"]), "Its type"),
        key("required", Kind::Flag, "It must be given"),
        key("default", Kind::Any, "Its value when it is not given"),
        key("description", Kind::Text, "For people"),
        key("pattern", Kind::Text, "A regular expression that text must match"),
        key("min", Kind::Number, "The least number, or length of text or of a list"),
        key("max", Kind::Number, "The greatest number, or length of text or of a list"),
        key("items", Kind::Map(&PARAMETER), "What each element of a list is"),
    ],
    ..Table::PLAIN
};

/// A helper.
pub static HELPER: Table = Table {
    name: "helper",
    doc: "A helper for templates in values: `.larder/helpers/NAME.yml`",
    keys: &[
        required("name", Kind::Name, "What templates call it; the file is named so"),
        key("description", Kind::Text, "For people"),
        key("returns", Kind::Word(&["string", "array"]), "Text (the default), or a list of lines"),
        key("parameters", Kind::Each(&Kind::Map(&PARAMETER)), "What it is given, seen as `{{params.NAME}}`"),
        key("variables", Kind::Values, "Values that its command sees as `{{var.NAME}}`"),
        key("environment", NAMES, "Names of environment variables that its command sees"),
        required("run", Kind::Text, "The command whose output is the value"),
    ],
    ..Table::PLAIN
};
