//! Random work through an upgrade: production writes in the old schema from the first moment to the last,
//! daemons die, the upgrade is broken off, repeated, undone by a backup. It must end in what the script
//! makes of production's last rows (see `cases::upgrade` for the folder and its oracle).
//!
//! A failing run prints its seed and what the ledger, the change logs and the daemons say;
//! `HIGHWATER_SEED=n cargo test --features faults upgraded` runs it again, and `n..m` a range of them.

mod diagnosis;
mod writers;

use std::path::Path;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::cases::upgrade::Case;
use crate::support::{Backup, Daemon, Engine, Highwater, Pair, seeds};
use writers::Writers;

contract!(upgraded_after_copy, upgraded_before_copy);

/// Rounds of daemon life and death, before the upgrade and after it.
const LIVES: u32 = 3;
/// Where the program may die or lose an answer while it copies and replays,
const AT_WORK: [&str; 9] = [
    "after_batch_read",
    "before_batch_commit",
    "after_batch_commit",
    "before_chunk_commit",
    "after_chunk_commit",
    "after_copy_begins",
    "after_equalise",
    "after_retry_read",
    "before_retry_commit",
];
/// as it begins the upgrade,
const AT_BEGIN: [&str; 2] = ["before_upgrade_begins", "after_upgrade_begins"];
/// and as it ends it.
const AT_DONE: [&str; 3] = ["after_upgrade_planned", "before_upgrade_ends", "after_upgrade_ends"];

async fn upgraded_after_copy(engine: Engine) {
    for seed in seeds() {
        let mut trial = Trial::new(engine, seed, "after-copy").await;
        let writers = trial.writers();
        trial.live_and_die().await;
        trial.highwater.run(&["copy"]).await.ok();
        trial.upgrade_with_a_backup().await;
        trial.live_and_die().await;
        writers.end().await;
        trial.finish().await;
    }
}

async fn upgraded_before_copy(engine: Engine) {
    for seed in seeds() {
        let mut trial = Trial::new(engine, seed, "before-copy").await;
        let writers = trial.writers();
        trial.upgrade().await;
        trial.live_and_die().await;
        trial.live_and_die().await;
        writers.end().await;
        trial.highwater.run(&["copy"]).await.ok();
        trial.finish().await;
    }
}

struct Trial {
    rng: StdRng,
    case: Case,
    order: &'static str,
    pair: Pair,
    highwater: Highwater,
    /// What the daemons logged.
    logs: Vec<String>,
}

impl Trial {
    async fn new(engine: Engine, seed: u64, order: &'static str) -> Trial {
        let mut rng = StdRng::seed_from_u64(seed);
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/upgraded");
        let case = Case::at(engine, folder);
        let (pair, highwater) = case.prepared(order).await;
        let highwater = highwater
            .setting("copy.chunk_rows", &rng.random_range(3..12).to_string())
            .setting("replay.batch_rows", &rng.random_range(10..40).to_string());
        Trial { rng, case, order, pair, highwater, logs: Vec::new() }
    }

    fn writers(&mut self) -> Writers {
        Writers::start(&self.pair.source, &mut self.rng)
    }

    /// Daemons come and go, at times one beside another that is to take over.
    async fn live_and_die(&mut self) {
        for _ in 0..LIVES {
            let daemon = self.with_a_fault(&AT_WORK).spawn(&["run"]);
            let heir = self.rng.random_bool(0.3).then(|| self.highwater.clone().on_another_port());
            let heir = heir.map(|heir| heir.spawn(&["run"]));
            self.wait(300..900).await;
            self.end(daemon).await;
            if let Some(heir) = heir {
                self.wait(100..500).await;
                self.end(heir).await;
            }
        }
    }

    /// Upgrades the target, at times after an attempt that is undone by the backup from before it.
    async fn upgrade_with_a_backup(&mut self) {
        let undone = self.rng.random_bool(0.3);
        let Some(backup) = Backup::of(&self.pair).filter(|_| undone) else {
            let beside = self.rng.random_bool(0.5).then(|| self.highwater.spawn(&["run"]));
            self.upgrade().await;
            if let Some(daemon) = beside {
                self.end(daemon).await;
            }
            return;
        };
        backup.make(&self.pair).await;
        self.repeat(&["upgrade", "--begin", "--hold"], &AT_BEGIN).await;
        self.case.migrate(&self.pair.target).await;
        let died = self.with_a_fault(&AT_DONE[..2]).run(&["upgrade", "--done"]).await;
        self.logs.push(died.stderr);
        self.pair.target = backup.restore(&self.pair).await;
        self.upgrade().await;
    }

    async fn upgrade(&mut self) {
        self.repeat(&["upgrade", "--begin"], &AT_BEGIN).await;
        self.wait(0..300).await;
        self.case.migrate(&self.pair.target).await;
        self.wait(0..300).await;
        self.repeat(&["upgrade", "--done"], &AT_DONE).await;
        self.case.write(&self.pair, "after.sql").await;
    }

    /// Gives a command until nothing is in its way.
    async fn repeat(&mut self, command: &[&str], points: &[&str]) {
        for _ in 0..self.rng.random_range(0..3) {
            let broken_off = self.with_a_fault(points).run(command).await;
            self.logs.push(broken_off.stderr);
        }
        let done = self.highwater.run(command).await.ok();
        self.logs.push(done.stderr);
    }

    fn with_a_fault(&mut self, points: &[&str]) -> Highwater {
        let point = points[self.rng.random_range(0..points.len())];
        let passage = if points == AT_WORK { self.rng.random_range(1..8) } else { 1 };
        let act = if self.rng.random_bool(0.5) { "kill" } else { "error" };
        self.highwater.clone().fault(&format!("{point}@{passage}={act}"))
    }

    async fn wait(&mut self, milliseconds: std::ops::Range<u64>) {
        tokio::time::sleep(Duration::from_millis(self.rng.random_range(milliseconds))).await;
    }

    async fn end(&mut self, daemon: Daemon) {
        self.logs.push(daemon.log());
        if self.rng.random_bool(0.5) {
            daemon.kill9().await;
        } else {
            daemon.terminate().await;
        }
    }

    async fn finish(self) {
        // Less than the tests' patience, so that it tells what it waits for.
        let output = self.highwater.run(&["final-sync", "--fence", "--timeout", "50s"]).await;
        let adjustment = format!("oracle.{}.sql", self.order);
        let mut wrong = self.case.differences(&self.pair, &adjustment).await;
        if output.code != Some(0) || !output.stdout.contains("final") {
            wrong.push(format!("{output:?}"));
        }
        if !wrong.is_empty() {
            let known = diagnosis::of(&self.pair, &self.logs).await;
            panic!("the oracle (source) and the target differ:\n{}\n{known}", wrong.join("\n"));
        }
        self.case.expect(&self.pair.target).await;
    }
}
