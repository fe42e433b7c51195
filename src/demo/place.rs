//! Where the demo takes place: its folder, its two databases, and the settings that name them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::TempDir;
use url::Url;

use super::DemoArgs;
use super::link::Link;
use super::production;
use crate::error::{Error, Result};
use crate::settings::{DatabaseSettings, Endpoint, EngineKind, Settings};

/// Rows of a chunk: small ones, so that something is seen of the copy.
const CHUNK_ROWS: u64 = 4_000;

/// Where the demo takes place.
pub(super) struct Place {
    /// Holds the settings file, the log, and the databases unless those are on servers.
    pub(super) folder: PathBuf,
    /// The settings, as a file in the folder.
    pub(super) file: PathBuf,
    /// What the file says.
    pub(super) settings: Arc<Settings>,
    /// The only database in it.
    pub(super) database: DatabaseSettings,
}

impl Place {
    /// Makes the folder, the databases and the settings file.
    ///
    /// # Errors
    /// [`crate::error::Kind::Usage`] for URLs that the demo can't use;
    /// [`crate::error::Kind::Refused`] where something of an earlier demo, or of somebody else, is.
    pub(super) async fn make(args: &DemoArgs) -> Result<Self> {
        let given = servers(args)?;
        let (folder, temporary) = folder(args.dir.as_deref())?;
        let (source, target) = match given {
            Some(urls) => urls,
            None => (file_url(&folder, "production.db")?, file_url(&folder, "staging.db")?),
        };
        for (side, url) in [("production", &source), ("staging", &target)] {
            let mut link = Link::open(&Endpoint::from_url(url)?).await?;
            production::refuse_existing(&mut link, &format!("{side}, {url},")).await?;
        }
        let file = folder.join("highwater.toml");
        let write = std::fs::write(&file, settings_text(&source, &target));
        write.map_err(|e| Error::failed(format!("{} can't be written", file.display())).because(e))?;
        let settings = Settings::load(std::slice::from_ref(&file), std::iter::empty())?;
        let database = settings.databases.first().cloned();
        let database = database.ok_or_else(|| Error::failed("the demo's settings name no database"))?;
        // Kept, it is no temporary folder any more.
        let folder = temporary.map_or(folder, TempDir::keep);
        Ok(Place { folder, file, settings: Arc::new(settings), database })
    }
}

/// The URLs of the two servers, if any were given.
fn servers(args: &DemoArgs) -> Result<Option<(String, String)>> {
    let Some((source, target)) = args.source.clone().zip(args.target.clone()) else { return Ok(None) };
    for url in [&source, &target] {
        if Endpoint::from_command_line(url)?.engine() == EngineKind::Sqlite {
            return Err(Error::usage(format!("{url} is not on a server"))
                .remedy("leave --source and --target out for a demo on SQLite; --dir says in which folder"));
        }
    }
    Ok(Some((source, target)))
}

/// The folder; a temporary one is removed again unless it is kept.
fn folder(wanted: Option<&Path>) -> Result<(PathBuf, Option<TempDir>)> {
    let Some(folder) = wanted else {
        let folder = tempfile::Builder::new().prefix("highwater-demo-").tempdir();
        let folder = folder.map_err(|e| Error::failed("no temporary folder can be made").because(e))?;
        return Ok((folder.path().to_path_buf(), Some(folder)));
    };
    let failed = |error: std::io::Error| {
        Error::failed(format!("the folder {} can't be made", folder.display())).because(error)
    };
    std::fs::create_dir_all(folder).map_err(failed)?;
    if std::fs::read_dir(folder).map_err(failed)?.next().is_some() {
        return Err(Error::refused(format!("the folder {} is not empty", folder.display()))
            .remedy("choose a new one with --dir, or leave it out for a temporary one"));
    }
    Ok((std::fs::canonicalize(folder).map_err(failed)?, None))
}

/// The URL of a SQLite file, whatever characters its path has.
fn file_url(folder: &Path, name: &str) -> Result<String> {
    let path = folder.join(name);
    let url = Url::from_file_path(&path)
        .map_err(|()| Error::failed(format!("{} can't be written as a URL", path.display())))?;
    Ok(format!("sqlite://{}", url.path()))
}

fn settings_text(source: &str, target: &str) -> String {
    // A JSON string is a TOML string, too.
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    format!(
        "# Written by `highwater demo`. All other keys have their defaults.\n\n\
         [database.identity]\nsource = {}\ntarget = {}\n\n\
         [copy]\nschema = \"create\"\nchunk_rows = {CHUNK_ROWS}\n\n\
         [http]\nlisten = \"\"\n",
        quoted(source),
        quoted(target)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(dir: &Path) -> DemoArgs {
        DemoArgs { dir: Some(dir.to_path_buf()), ..DemoArgs::default() }
    }

    #[tokio::test]
    async fn the_settings_lead_to_the_files_whatever_the_path() {
        let outer = tempfile::tempdir().unwrap();
        let folder = outer.path().join("it's a 100% \"demo\"? #1");
        let place = Place::make(&args(&folder)).await.unwrap();
        assert!(place.folder.join("production.db").is_file());
        assert!(place.folder.join("staging.db").is_file());
        assert_eq!(place.database.source.engine(), EngineKind::Sqlite);
        assert_eq!(place.settings.http.listen, None);
    }

    #[tokio::test]
    async fn a_folder_with_something_in_it_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        Place::make(&args(folder.path())).await.unwrap();
        let error = Place::make(&args(folder.path())).await.map(|_| ()).unwrap_err();
        assert_eq!(error.exit_code(), 3);
        assert!(error.summary().contains("is not empty"));
    }

    #[tokio::test]
    async fn servers_must_be_servers_and_show_no_password() {
        for (url, said) in [("sqlite://x.db", "not on a server"), ("postgres://u:hush@h/d", "password")] {
            let args = DemoArgs { source: Some(url.into()), target: Some(url.into()), ..DemoArgs::default() };
            let error = Place::make(&args).await.map(|_| ()).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            assert!(error.summary().contains(said) && !error.summary().contains("hush"));
        }
    }
}
