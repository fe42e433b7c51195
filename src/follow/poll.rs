//! Which tables have something to replay.

use super::Follow;
use crate::engine::Watch;
use crate::error::{Error, Kind, Result};

/// A table whose change log can't be read, and what the server says of it.
type Broken = (String, Error);

impl Follow {
    /// Which of the tables have a dirty entry. Stops those whose change log can't be read.
    pub(super) async fn poll(&mut self, labels: &[String]) -> Result<Vec<String>> {
        let (dirty, broken) = self.dirty(labels).await?;
        for (label, error) in broken {
            self.stop_table(&label, &error.to_string()).await?;
        }
        Ok(dirty)
    }

    /// All logs are read by one statement. An unknown error in it (a damaged page) must not hold up the tables
    /// that it does not concern: each is asked alone then.
    async fn dirty(&self, labels: &[String]) -> Result<(Vec<String>, Vec<Broken>)> {
        let watched: Vec<(&String, Watch<'_>)> =
            labels.iter().filter_map(|l| Some((l, self.tables.get(l)?.watch()?))).collect();
        if watched.is_empty() {
            return Ok((Vec::new(), Vec::new()));
        }
        let watches: Vec<Watch<'_>> = watched.iter().map(|(_, w)| *w).collect();
        let source = &self.pair.sides.source;
        let (mut dirty, mut broken) = (Vec::new(), Vec::new());
        match source.poll(&watches).await {
            Err(error) if error.kind() == Kind::Failed => {}
            polled => {
                let found = watched.iter().zip(polled?).filter(|(_, is_dirty)| *is_dirty);
                return Ok((found.map(|((label, _), _)| (*label).clone()).collect(), broken));
            }
        }
        for (label, watch) in watched {
            match source.poll(&[watch]).await {
                Err(error) if error.kind() == Kind::Failed => broken.push((label.clone(), error)),
                polled => {
                    if polled?.contains(&true) {
                        dirty.push(label.clone());
                    }
                }
            }
        }
        Ok((dirty, broken))
    }
}
