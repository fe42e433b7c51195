//! Case folders: what production holds, what happens to it meanwhile, and what must come of it.
//!
//! A folder `tests/cases/ENGINE/NAME/` has
//! - `source.sql`: production's tables and first rows;
//! - `target.sql`: staging's tables; without it highwater makes them (`copy.schema = "create"`);
//! - `during.sql`: what production does after the copy;
//! - `expect.sql`: queries on the target, one a line; each must give `true` or `1`. Besides, both sides
//!   must be the same, row by row.
//!
//! `ENGINE` is `postgres`, `sqlite`, `mysql` (MariaDB too), `mariadb` or `mysql9` (that one alone), or
//! `any` for SQL that every engine takes.

pub mod upgrade;

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::compare::differences;
use crate::support::{Engine, Highwater};

contract!(every_case_folder);

async fn every_case_folder(engine: Engine) {
    let mut failures = Vec::new();
    let folders: Vec<PathBuf> = kinds(engine).iter().copied().flat_map(folders).collect();
    assert!(folders.len() >= 5, "only {} case folders were found", folders.len());
    for folder in folders {
        let name = folder.display().to_string();
        if let Err(failure) = Box::pin(case(engine, &folder)).await {
            failures.push(format!("{name}: {failure}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

fn kinds(engine: Engine) -> &'static [&'static str] {
    match engine {
        Engine::Postgres => &["any", "postgres"],
        Engine::Sqlite => &["any", "sqlite"],
        Engine::Mariadb => &["any", "mysql", "mariadb"],
        Engine::Mysql => &["any", "mysql", "mysql9"],
    }
}

fn folders(kind: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases").join(kind);
    let mut folders: Vec<PathBuf> = match fs::read_dir(root) {
        Ok(entries) => entries.map(|e| e.expect("an entry").path()).filter(|p| p.is_dir()).collect(),
        Err(_) => Vec::new(),
    };
    folders.sort();
    folders
}

async fn case(engine: Engine, folder: &Path) -> Result<(), String> {
    let text = |file: &str| fs::read_to_string(folder.join(file)).ok();
    let pair = engine.pair().await;
    // In connections of their own, as their settings are.
    pair.source.connect().await.execute(&text("source.sql").ok_or("it has no source.sql")?).await;
    let mut highwater =
        Highwater::new(&pair).setting("copy.chunk_rows", "3").setting("replay.batch_rows", "4");
    match text("target.sql") {
        Some(target) => pair.target.connect().await.execute(&target).await,
        None => highwater = highwater.setting("copy.schema", "create"),
    }
    step(&highwater, "copy").await?;
    if let Some(during) = text("during.sql") {
        pair.source.connect().await.execute(&during).await;
    }
    step(&highwater, "final-sync").await?;
    let differences = differences(&pair.source, &pair.target, &[]).await;
    if !differences.is_empty() {
        return Err(differences.join("\n"));
    }
    for query in text("expect.sql").unwrap_or_default().lines().filter(|l| !l.trim().is_empty()) {
        let answer = pair.target.value(query).await;
        if !matches!(answer.as_str(), "t" | "true" | "1") {
            return Err(format!("{query} gives {answer}"));
        }
    }
    Ok(())
}

async fn step(highwater: &Highwater, command: &str) -> Result<(), String> {
    let output = highwater.run(&[command]).await;
    match output.code {
        Some(0) => Ok(()),
        code => Err(format!("{command}: exit {code:?}\n{}\n{}", output.stdout, output.stderr)),
    }
}
