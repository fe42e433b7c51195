//! Periodic work by cron expressions, in a time zone. A job only sends a tick; whoever receives it does
//! the work, and a tick that finds the last one unused is dropped.
//!
//! The scheduler is watched, because it fixes the zone's offset when a job is made, so that after a
//! change to or from summer time it would be an hour off, and because it sleeps until its next time by
//! the wall clock, which may be set back. In either case it is made anew.

use std::time::Duration;

use chrono::{DateTime, Offset, SecondsFormat, TimeZone, Utc};
use chrono_tz::Tz;
use croner::Cron;
use croner::parser::{CronParser, Seconds};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep};
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::error::{Error, Result};
use crate::settings::ScheduleSettings;

/// Between two looks at the scheduler.
const LOOK: Duration = Duration::from_secs(20);
/// How late a tick may be before the scheduler counts as stuck.
const LATE: Duration = Duration::from_secs(10);

/// The schedule at work; dropped, it ends.
#[derive(Debug)]
pub struct Schedule(#[expect(dead_code, reason = "dropping it ends the schedule")] DropGuard);

/// Begins to send a tick to each of `purge` whenever `settings.purge` is due.
///
/// # Errors
/// When the expression is none, or the scheduler can't be started.
pub async fn start(settings: &ScheduleSettings, purge: Vec<mpsc::Sender<()>>) -> Result<Schedule> {
    let cron = CronParser::builder().seconds(Seconds::Required).dom_and_dow(true).build();
    let cron = cron.parse(&settings.purge).map_err(|e| {
        Error::usage(format!("schedule.purge: `{}` is not a cron expression", settings.purge)).because(e)
    })?;
    let stop = CancellationToken::new();
    let job = Periodic { what: "purge", cron, zone: settings.timezone, ticks: purge };
    let running = job.run().await.map_err(cant_start)?;
    tokio::spawn(job.supervise(running, stop.clone()));
    Ok(Schedule(stop.drop_guard()))
}

fn cant_start(error: JobSchedulerError) -> Error {
    Error::failed("the scheduler of periodic work can't be started").because(error)
}

/// One kind of periodic work.
#[derive(Clone)]
struct Periodic {
    what: &'static str,
    cron: Cron,
    zone: Tz,
    ticks: Vec<mpsc::Sender<()>>,
}

/// A scheduler made for one offset of the zone.
struct Running {
    scheduler: JobScheduler,
    offset_seconds: i32,
    /// When the next tick is due, by a clock that nobody sets.
    due: watch::Receiver<Option<Instant>>,
}

impl Periodic {
    async fn run(&self) -> Result<Running, JobSchedulerError> {
        let offset_seconds = self.offset_seconds();
        let scheduler = JobScheduler::new().await?;
        let (sender, due) = watch::channel(self.due());
        let this = self.clone();
        let job = Job::new_async_tz(self.cron.pattern.to_string(), self.zone, move |_, _| {
            this.tick();
            sender.send_replace(this.due());
            Box::pin(std::future::ready(()))
        })?;
        scheduler.add(job).await?;
        scheduler.start().await?;
        let (schedule, timezone, next) = (&self.cron.pattern, &self.zone, self.next_text());
        tracing::info!(job = self.what, %schedule, %timezone, next, "scheduled");
        Ok(Running { scheduler, offset_seconds, due })
    }

    fn tick(&self) {
        for tick in &self.ticks {
            // Full: the last tick is still to be used. Closed: that database has ended.
            let _ = tick.try_send(());
        }
        tracing::debug!(job = self.what, next = self.next_text(), "tick");
    }

    /// Makes the scheduler anew whenever it can't be relied on, until `stop`.
    async fn supervise(self, mut running: Running, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = sleep(LOOK) => {}
                () = stop.cancelled() => break,
            }
            let Some(why) = self.doubt(&running) else { continue };
            tracing::info!(job = self.what, why, "the scheduler is started anew");
            end(&mut running).await;
            match self.run().await {
                Ok(anew) => running = anew,
                Err(error) => {
                    tracing::warn!(job = self.what, %error, "the scheduler can't be started; tried again");
                }
            }
        }
        end(&mut running).await;
    }

    fn doubt(&self, running: &Running) -> Option<&'static str> {
        if running.offset_seconds != self.offset_seconds() {
            return Some("the time zone's offset has changed");
        }
        let due = *running.due.borrow();
        due.is_some_and(|due| due.elapsed() > LATE).then_some("its tick is late")
    }

    fn offset_seconds(&self) -> i32 {
        self.zone.offset_from_utc_datetime(&Utc::now().naive_utc()).fix().local_minus_utc()
    }

    fn next(&self) -> Option<DateTime<Tz>> {
        self.cron.find_next_occurrence(&Utc::now().with_timezone(&self.zone), false).ok()
    }

    fn next_text(&self) -> Option<String> {
        self.next().map(|next| next.to_rfc3339_opts(SecondsFormat::Secs, true))
    }

    fn due(&self) -> Option<Instant> {
        let wait = self.next()?.signed_duration_since(Utc::now()).to_std().ok()?;
        Instant::now().checked_add(wait)
    }
}

async fn end(running: &mut Running) {
    if let Err(error) = running.scheduler.shutdown().await {
        tracing::debug!(%error, "the scheduler did not shut down");
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    fn settings(purge: &str) -> ScheduleSettings {
        ScheduleSettings { timezone: Tz::Europe__Vienna, purge: purge.to_string() }
    }

    fn periodic(purge: &str) -> Periodic {
        let cron = CronParser::builder().seconds(Seconds::Required).build().parse(purge).unwrap();
        Periodic { what: "purge", cron, zone: Tz::UTC, ticks: Vec::new() }
    }

    #[tokio::test]
    async fn every_receiver_gets_ticks_until_the_schedule_is_dropped() {
        let (first, mut first_ticks) = mpsc::channel(1);
        let (second, mut second_ticks) = mpsc::channel(1);
        let schedule = start(&settings("* * * * * *"), vec![first, second]).await.unwrap();
        for ticks in [&mut first_ticks, &mut second_ticks] {
            for _ in 0..2 {
                timeout(Duration::from_secs(5), ticks.recv()).await.unwrap().unwrap();
            }
        }
        drop(schedule);
        sleep(Duration::from_millis(1200)).await;
        while first_ticks.try_recv().is_ok() {}
        let after = timeout(Duration::from_millis(1500), first_ticks.recv()).await;
        assert!(!matches!(after, Ok(Some(()))), "a tick after the end");
    }

    #[tokio::test]
    async fn a_receiver_that_is_busy_or_gone_holds_nobody_up() {
        let (busy, _busy_ticks) = mpsc::channel(1);
        let (gone, gone_ticks) = mpsc::channel(1);
        let (free, mut ticks) = mpsc::channel(1);
        drop(gone_ticks);
        let _schedule = start(&settings("* * * * * *"), vec![busy, gone, free]).await.unwrap();
        for _ in 0..3 {
            timeout(Duration::from_secs(5), ticks.recv()).await.unwrap().unwrap();
        }
    }

    #[tokio::test]
    async fn a_wrong_expression_is_an_error() {
        let error = start(&settings("every day"), Vec::new()).await.unwrap_err();
        assert!(error.summary().contains("schedule.purge"), "{error}");
    }

    #[tokio::test]
    async fn a_changed_offset_and_a_late_tick_are_noticed() {
        let job = periodic("0 0 3 * * *");
        let mut running = job.run().await.unwrap();
        assert_eq!(job.doubt(&running), None);
        running.offset_seconds = 3600;
        assert!(job.doubt(&running).unwrap().contains("offset"));
        running.offset_seconds = 0;
        running.due = watch::channel(Instant::now().checked_sub(2 * LATE)).1;
        assert!(job.doubt(&running).unwrap().contains("late"));
        end(&mut running).await;
    }
}
