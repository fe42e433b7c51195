use std::collections::BTreeSet;
use std::path::Path;

use secrecy::ExposeSecret;
use tempfile::TempDir;

use super::*;
use crate::error::Kind;

mod rules;

const PAIR: &str = "[database.identity]\nsource = \"sqlite://a.db\"\ntarget = \"sqlite://b.db\"\n";

/// Loads files of these texts, called 0.toml, 1.toml and so on, and this environment.
fn load_from(folder: &Path, texts: &[&str], env: &[(&str, &str)]) -> Result<Settings> {
    let write = |(index, text): (usize, &&str)| {
        let file = folder.join(format!("{index}.toml"));
        std::fs::write(&file, text).unwrap();
        file
    };
    let files: Vec<PathBuf> = texts.iter().enumerate().map(write).collect();
    Settings::load(&files, env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())))
}

fn load(text: &str) -> Result<Settings> {
    load_with(text, &[])
}

fn load_with(text: &str, env: &[(&str, &str)]) -> Result<Settings> {
    load_from(TempDir::new().unwrap().path(), &[text], env)
}

/// The faults of settings with a good database and `text`, without the file's name.
fn faults(text: &str) -> String {
    faults_of(&format!("{text}\n{PAIR}"))
}

fn faults_of(text: &str) -> String {
    let error = load(text).unwrap_err();
    assert_eq!(error.kind(), Kind::Usage);
    let text = error.to_string();
    assert!(!text.contains("hush"), "{text}");
    text
}

#[track_caller]
fn assert_says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in: {text}");
    }
}

fn private_file(folder: &Path, name: &str, text: &str) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let file = folder.join(name);
    std::fs::write(&file, text).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    file
}

#[test]
fn defaults() {
    let settings = load(PAIR).unwrap();
    assert_eq!(settings.migration, "main");
    assert_eq!(settings.capture.lock_timeout, Duration::from_millis(200));
    assert_eq!((settings.copy.jobs, settings.copy.chunk_rows), (2, 50_000));
    assert_eq!((settings.copy.schema, settings.copy.into), (SchemaMode::Expect, CopyInto::Empty));
    assert_eq!((settings.replay.batch_rows, settings.replay.batch_bytes), (10_000, 8 << 20));
    assert_eq!(settings.replay.in_sync_lag, Duration::from_secs(5));
    assert_eq!(settings.throttle.max_rows_per_second, 0);
    assert_eq!(settings.schedule.timezone, Tz::UTC);
    assert_eq!(settings.http.listen, Some("127.0.0.1:9187".parse().unwrap()));
    let [database] = &settings.databases[..] else { panic!("one database") };
    assert_eq!(database.name, "identity");
    assert!(database.wants(Some("any"), "table"));
}

#[test]
fn later_files_and_the_environment_win() {
    let folder = TempDir::new().unwrap();
    let first = format!("{PAIR}[copy]\njobs = 3\nchunk_rows = 10\n[replay]\nbatch_rows = 7\n");
    let second =
        "[copy]\njobs = 4\n[database.shared]\nsource = \"sqlite://c.db\"\ntarget = \"sqlite://d.db\"\n";
    let env = [("HIGHWATER__COPY__CHUNK_ROWS", "20"), ("HIGHWATER__HTTP__LISTEN", ""), ("PATH", "/bin")];
    let settings = load_from(folder.path(), &[&first, second], &env).unwrap();
    assert_eq!((settings.copy.jobs, settings.copy.chunk_rows, settings.replay.batch_rows), (4, 20, 7));
    assert_eq!(settings.http.listen, None);
    let names: Vec<&str> = settings.databases.iter().map(|d| d.name.as_str()).collect();
    assert_eq!(names, ["identity", "shared"]);
}

#[test]
fn the_environment_alone_is_enough() {
    let env = [
        ("HIGHWATER__MIGRATION", "007"),
        ("HIGHWATER__DATABASE__IDENTITY__SOURCE", "postgres://hw:hush@prod/identity"),
        ("HIGHWATER__DATABASE__IDENTITY__TARGET", "postgres://hw@staging/identity"),
        ("HIGHWATER__DATABASE__IDENTITY__INCLUDE", "um_*, public.reg_*"),
        ("HIGHWATER__DATABASE__IDENTITY__EXCLUDE[0]", "um_log"),
        ("HIGHWATER__DATABASE__IDENTITY__TABLE[0]__NAME", "um_user"),
        ("HIGHWATER__REPLAY__BATCH_BYTES", "4096"),
    ];
    let settings = load_from(Path::new("/"), &[], &env).unwrap();
    assert_eq!(settings.migration, "007");
    assert_eq!(settings.replay.batch_bytes, 4096);
    let database = &settings.databases[0];
    assert!(database.wants(Some("x"), "um_user") && database.wants(Some("public"), "reg_log"));
    assert!(!database.wants(Some("x"), "reg_log") && !database.wants(Some("x"), "um_log"));
    assert_eq!(database.tables[0].name, "um_user");
    assert!(!format!("{settings:?}").contains("hush"));
}

#[test]
fn all_faults_are_told_at_once() {
    let text = "migration = \"Main!\"\njobs = 3\n[database.identity]\nsorce = \"postgres://hw:hush@prod/x\"\n\
                target = \"oracle://staging/x\"\n[[database.identity.table]]\nmatch = 1\n\
                [capture]\nlock_timeout = \"5 apples\"\n[copy]\njobs = 0\ninto = \"adopt\"\n[extra]\nx = 1\n";
    let env = [("HIGHWATER__SCHEDULE__PURGE", "* * *"), ("HIGHWATER__REPLAY__BATCH_ROW", "3")];
    let error = load_with(text, &env).unwrap_err();
    let text = error.to_string();
    assert_says(
        &text,
        &[
            "13 faults",
            "0.toml: migration: \"Main!\" can't be a migration's name",
            "0.toml: jobs: unknown key; did you mean `copy.jobs`?",
            "  database.identity.source: is missing; write source = ",
            "0.toml: database.identity.sorce: unknown key; did you mean `source`?",
            "0.toml: database.identity.target: `oracle://` is not supported",
            "  database.identity.table[0].name: is missing",
            "0.toml: database.identity.table[0].match: unknown key; known here: name, when, target",
            "0.toml: capture.lock_timeout: \"5 apples\" is not a duration such as \"200ms\"",
            "0.toml: copy.jobs: 0 is out of range; write something from 1 to 64",
            "0.toml: copy.into: \"adopt\" is not one of \"empty\"",
            "0.toml: extra: unknown key; known here: database, upgrade, migration, capture",
            "environment HIGHWATER__SCHEDULE__PURGE: schedule.purge: \"* * *\" is not a cron expression",
            "environment HIGHWATER__REPLAY__BATCH_ROW: replay.batch_row: unknown key; did you mean `batch_r",
        ],
    );
    assert!(!text.contains("hush"), "{text}");
}

#[test]
fn values_out_of_form_are_told_with_an_example() {
    for (text, says) in [
        ("migration = 7", "migration: a number is not a name such as"),
        ("migration = \"a_name_of_many_characters\"", "1 to 20 of a-z"),
        ("[capture]\nmode = \"trigers\"", "did you mean \"triggers\"?"),
        ("[capture]\nlock_timeout = 200", "capture.lock_timeout: a number is not a duration"),
        ("[capture]\nlock_timeout = \"2h\"", "2h is out of range; write something from 1ms to 1m"),
        ("[copy]\njobs = \"2\"", "copy.jobs: a text is not a whole number"),
        ("[copy]\njobs = -1", "-1 is below 1"),
        ("[copy]\nchunk_rows = 1.5", "a fraction is not a whole number"),
        ("[copy]\nschema = true", "true or false is not one of \"expect\", \"create\""),
        ("[replay]\nbatch_bytes = \"8 apples\"", "is not a size such as \"8MiB\""),
        ("[replay]\nbatch_bytes = 3", "3 is out of range"),
        ("[replay]\nbatch_bytes = \"5TiB\"", "is out of range"),
        ("[schedule]\ntimezone = \"Europe/Berlin2\"", "did you mean \"Europe/Berlin\"?"),
        ("[schedule]\npurge = \"*/10 * * * *\"", "a cron expression with seconds"),
        ("[schedule]\npurge = \"0 0 0 30 2 *\"", "never comes due"),
        ("[http]\nlisten = \"localhost:9187\"", "such as \"127.0.0.1:9187\""),
        (
            "[http]\nallowed_hosts = [\"localhost:9187\"]",
            "\"localhost:9187\" is not a host's name, without a port",
        ),
        ("http = 3", "http: a number is not a section of keys"),
    ] {
        assert_says(&faults(text), &["a fault:", says]);
    }
}

#[test]
fn good_forms_are_taken() {
    let text = "[replay]\nbatch_bytes = 1048576\nin_sync_lag = \"1m 30s\"\n\
                [schedule]\ntimezone = \"Europe/Berlin\"\npurge = \"30 */5 * * * MON-FRI\"\n\
                [http]\nlisten = \"[::1]:80\"\n[copy]\nschema = \"create\"\n";
    let settings = load(&format!("{text}{PAIR}")).unwrap();
    assert_eq!(settings.replay.batch_bytes, 1 << 20);
    assert_eq!(settings.replay.in_sync_lag, Duration::from_secs(90));
    assert_eq!(settings.schedule.timezone, Tz::Europe__Berlin);
    assert_eq!(settings.copy.schema, SchemaMode::Create);
}

#[test]
fn a_file_that_is_missing_or_broken_is_told() {
    let folder = TempDir::new().unwrap();
    let broken = folder.path().join("broken.toml");
    std::fs::write(&broken, "migration = \"a\"\n[database.x]\nsource = \"postgres://hw:hush@prod/x\n")
        .unwrap();
    let error = Settings::load(&[folder.path().join("none.toml"), broken], []).unwrap_err().to_string();
    assert_says(
        &error,
        &[
            "2 faults",
            "none.toml: there is no such file; to begin, copy config/highwater.toml",
            "highwater demo",
        ],
    );
    assert_says(&error, &["broken.toml: TOML parse error at line 3, column"]);
    assert!(!error.contains("hush"), "{error}");
}

#[test]
fn databases_must_make_sense() {
    let error = Settings::load(&[], []).unwrap_err().to_string();
    assert_says(&error, &["database: no database is named; write [database.NAME]", "highwater demo"]);
    let unnamed = faults_of("[database]\nsource = \"postgres://hw:hush@prod/x\"\n");
    assert_says(&unnamed, &["database.source: a text is not a section of keys", "no database is named"]);
    let cases = [
        (
            "[database.x]\nsource = \"sqlite://a\"\ntarget = \"sqlite://./a\"",
            "database.x.target: sqlite://./a is also `database.x.source`",
        ),
        (
            "[database.x]\nsource = \"sqlite://a\"\ntarget = \"postgres://h/b\"",
            "target: is postgres, but `source` is sqlite",
        ),
        (
            "[database.X-1]\nsource = \"sqlite://a\"\ntarget = \"sqlite://b\"",
            "database.X-1: can't be a database's name",
        ),
        ("[database.x]\nPAIR\ninclude = []", "include: is empty"),
        ("[database.x]\nPAIR\ninclude = \"um_*\"", "a text is not a list of globs"),
        ("[database.x]\nPAIR\nexclude = [\"a.b.c\"]", "has two dots"),
        ("[database.x]\nPAIR\ntable = [{name = \"t\"}, {name = \"t\"}]", "says something of \"t\" twice"),
        (
            "[database.x]\nsource = \"postgres://h/a?sslmode=on\"\ntarget = \"postgres://h/b\"",
            "database.x.source: can't be used: unknown value \"on\" for `ssl_mode`",
        ),
        ("[database.x]\nsource = 5\ntarget = \"sqlite://b\"", "database.x.source: a number is not a text"),
    ];
    for (text, says) in cases {
        assert_says(
            &faults_of(&text.replace("PAIR", "source = \"sqlite://a\"\ntarget = \"sqlite://b\"")),
            &["a fault:", says],
        );
    }
    let shared = format!("{PAIR}[database.x]\nsource = \"sqlite://a.db\"\ntarget = \"sqlite://c.db\"\n");
    assert_says(
        &faults_of(&shared),
        &["database.x.source: sqlite://a.db is also `database.identity.source`"],
    );
}

#[test]
fn secrets_must_go_together() {
    let folder = TempDir::new().unwrap();
    let url = private_file(folder.path(), "url", "postgres://hw:hush@prod/x\n");
    let bad_url = private_file(folder.path(), "bad_url", "hush");
    let (url, bad_url) = (url.display(), bad_url.display());
    let source = "source = \"postgres://hw@prod/x\"";
    for (keys, says) in [
        (format!("{source}\nsource_file = \"{url}\""), "source_file: stands beside `source`"),
        (
            format!("source_file = \"{url}\"\nsource_password_file = \"{url}\""),
            "source_password_file: stands beside `source_file`",
        ),
        (
            format!("{source}\nsource_password_file = \"{url}\"\nsource_password_command = [\"x\"]"),
            "source_password_command: stands beside `source_password_file`",
        ),
        (
            format!("source = \"postgres://hw:hush@prod/x\"\nsource_password_file = \"{url}\""),
            "source_password_file: stands beside a password in `source`",
        ),
        ("source = \"sqlite://a\"\nsource_password_command = [\"x\"]".into(), "SQLite has no passwords"),
        (
            format!("{source}\nsource_password_file = \"/none\""),
            "source_password_file: the file /none can't be read: No such file",
        ),
        ("source_file = \"/none\"".into(), "source_file: the file /none can't be read"),
        (format!("source_file = \"{bad_url}\""), "source_file: is not a URL such as"),
        (format!("{source}\nsource_password_command = []"), "source_password_command: is empty"),
        (format!("{source}\nsource_password_command = \"pass hush\""), "a text is not a list of arguments"),
        ("source_password_command = [\"x\"]".into(), "source: is missing"),
    ] {
        let text = format!("[database.x]\ntarget = \"postgres://hw@staging/x\"\n{keys}\n");
        assert_says(&faults_of(&text), &["a fault:", says]);
    }
}

#[tokio::test]
async fn secrets_are_fetched_anew_for_each_url() {
    let folder = TempDir::new().unwrap();
    let source = private_file(folder.path(), "url", "postgres://hw:one@prod/x\n");
    let target = private_file(folder.path(), "password", "t:1\n");
    let text = format!(
        "[database.a]\nsource_file = {source:?}\ntarget = \"postgres://hw@staging/x\"\n\
         target_password_file = {target:?}\n\
         [database.b]\nsource = \"postgres://hw@prod/y\"\nsource_password_command = [\"printf\", \"a b\"]\n\
         target = \"postgres://hw@staging/y\"\n"
    );
    let settings = load(&text).unwrap();
    let [a, b] = &settings.databases[..] else { panic!("two databases") };
    assert_eq!(a.source.to_string(), "postgres://hw@prod/x");
    assert_eq!(a.source.url().await.unwrap().expose_secret(), "postgres://hw:one@prod/x");
    assert_eq!(a.target.url().await.unwrap().expose_secret(), "postgres://hw:t%3A1@staging/x");
    assert_eq!(b.source.url().await.unwrap().expose_secret(), "postgres://hw:a%20b@prod/y");
    assert_eq!(b.target.url().await.unwrap().expose_secret(), "postgres://hw@staging/y");
    std::fs::write(&source, "postgres://hw:two@prod/x").unwrap();
    std::fs::write(&target, "t2").unwrap();
    assert_eq!(a.source.url().await.unwrap().expose_secret(), "postgres://hw:two@prod/x");
    assert_eq!(a.target.url().await.unwrap().expose_secret(), "postgres://hw:t2@staging/x");
    std::fs::write(&source, "postgres://hw:two@elsewhere/x").unwrap();
    let error = a.source.url().await.unwrap_err().to_string();
    assert_says(&error, &["postgres://hw@prod/x: the URL in its file now leads elsewhere"]);
    assert!(!error.contains("two"), "{error}");
    std::fs::remove_file(&target).unwrap();
    assert_says(
        &a.target.url().await.unwrap_err().to_string(),
        &["postgres://hw@staging/x: no secret: the file"],
    );
}

#[test]
fn only_one_database() {
    let two = format!("{PAIR}[database.shared]\nsource = \"sqlite://c.db\"\ntarget = \"sqlite://d.db\"\n");
    let settings = load(&two).unwrap();
    assert_eq!(settings.clone().only(None).unwrap().databases.len(), 2);
    let one = settings.clone().only(Some("shared")).unwrap();
    assert_eq!((one.databases.len(), &one.hash), (1, &settings.hash));
    let error = settings.only(Some("shard")).unwrap_err();
    assert_eq!(error.exit_code(), 2);
    assert_says(&error.to_string(), &["there are: identity, shared", "did you mean --database shared?"]);
}

#[test]
fn the_hash_is_of_the_settings_without_secrets() {
    let text = |password: &str| {
        format!(
            "[database.x]\nsource = \"postgres://hw:{password}@prod/x\"\n\
             target = \"postgres://hw@staging/x\"\n"
        )
    };
    let hash = |text: &str| load(text).unwrap().hash;
    assert_eq!(hash(&text("a")).len(), 16);
    assert_eq!(hash(&text("a")), hash(&text("b")));
    assert_ne!(hash(&text("a")), hash(&format!("{}[copy]\njobs = 3\n", text("a"))));
    let loaded = load(&text("a")).unwrap();
    assert_eq!(Settings::with_databases(loaded.databases).hash, loaded.hash);
}

/// The example with everything at work that it only shows, behind a `# `.
fn at_work(example: &str) -> String {
    let shown = |line: &str| {
        let is_key = |key: &str| key.chars().all(|c| c.is_ascii_lowercase() || c == '_');
        (line.starts_with('[') && line.ends_with(']'))
            || line.split_once(" = ").is_some_and(|(key, _)| is_key(key))
    };
    let line = |line: &str| match line.strip_prefix("# ") {
        Some(rest) if shown(rest) => format!("{rest}\n"),
        _ => format!("{line}\n"),
    };
    example.lines().map(line).collect()
}

fn example() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("config/highwater.toml")).unwrap()
}

/// What reading the example brings to light with all of it at work.
fn read_example() -> Report {
    let folder = TempDir::new().unwrap();
    let file = private_file(folder.path(), "example.toml", &at_work(&example()));
    let mut report = Report::default();
    assert!(Settings::gather(&[file], [], &mut report).is_some(), "{report:?}");
    report
}

#[test]
fn the_example_is_the_default() {
    let settings = load(&example()).unwrap();
    assert_eq!(Settings::with_databases(settings.databases).hash, settings.hash);
}

#[test]
fn the_example_shows_every_key_and_no_other() {
    let report = read_example();
    assert_eq!(report.missing(), [""; 0]);
    let error = report.accept(Some(())).unwrap_err().to_string();
    assert!(!error.contains("unknown"), "{error}");
    // Only what can't stand together, and secrets that aren't there.
    let others = |line: &&str| !line.contains("stands beside") && !line.contains("to do: ");
    assert_eq!(error.lines().skip(1).filter(others).collect::<Vec<_>>(), [""; 0]);
}

#[test]
fn the_documentation_names_every_key() {
    let page = include_str!("../../docs/settings.md");
    for key in read_example().known() {
        let key = key.replace("database.*", "database.NAME");
        assert!(page.contains(&format!("`{key}`")), "docs/settings.md lacks `{key}`");
    }
}
