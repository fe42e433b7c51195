//! The program `highwater`: see [`highwater::cli`].

use std::process::ExitCode;

use highwater::cli;
use highwater::error::{Error, Result};

fn main() -> ExitCode {
    let cli = cli::parse();
    match runtime() {
        Ok(runtime) => ExitCode::from(runtime.block_on(cli::run(cli))),
        Err(error) => ExitCode::from(cli::fail(&error, false)),
    }
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    // TLS takes the provider of the process, which nobody else has installed yet.
    let installed = rustls::crypto::ring::default_provider().install_default();
    installed.map_err(|_| Error::failed("the TLS library can't be prepared"))?;
    tokio::runtime::Runtime::new()
        .map_err(|e| Error::failed("the program can't start its threads").because(e))
}
