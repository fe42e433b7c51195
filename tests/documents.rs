//! What the documents name exists.

use std::fs;
use std::path::{Path, PathBuf};

/// Top-level names that a path in a document may begin with.
const TOPS: [&str; 9] =
    ["src/", "sql/", "tests/", "config/", "docs/", "deploy/", "benches/", ".ci/", "Cargo.toml"];

#[test]
fn every_path_that_a_document_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut documents = vec![root.join("README.md"), root.join("CHANGELOG.md")];
    documents.extend(fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path()));
    let mut named = 0;
    let mut missing = Vec::new();
    for document in documents {
        let text = fs::read_to_string(&document).unwrap();
        for path in paths(&text) {
            named += 1;
            if !exists(root, document.parent().unwrap(), &path) {
                missing.push(format!("{}: {path}", document.display()));
            }
        }
    }
    assert!(named > 20, "only {named} paths were found");
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[test]
fn every_rule_that_code_and_tests_cite_stands_in_the_document() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let document = fs::read_to_string(root.join("docs/how-it-works.md")).unwrap().to_lowercase();
    for file in files(&root.join("src")).into_iter().chain(files(&root.join("tests"))) {
        let text = fs::read_to_string(&file).unwrap();
        for cited in text.split("docs/how-it-works.md, \"").skip(1) {
            let rule =
                cited.split('"').next().unwrap().replace("\n//!", "").replace("\n///", "").to_lowercase();
            assert!(document.contains(&rule), "{}: no rule {rule:?}", file.display());
        }
    }
}

/// Link targets and back-quoted paths.
fn paths(text: &str) -> Vec<String> {
    let links = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let links = links.filter(|link| !link.starts_with('#') && !link.contains("://"));
    let quoted =
        text.split('`').skip(1).step_by(2).filter(|word| TOPS.iter().any(|top| word.starts_with(top)));
    let whole = |path: &&str| !path.contains(['*', '<', '{', ' ', '\n']);
    links.chain(quoted).filter(whole).map(|path| path.split('#').next().unwrap().to_string()).collect()
}

fn exists(root: &Path, folder: &Path, path: &str) -> bool {
    path.is_empty() || root.join(path).exists() || folder.join(path).exists()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] })
        .filter(|path| path.extension().is_some_and(|e| e == "rs"))
        .collect()
}
