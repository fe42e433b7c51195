//! Every step in every order, and what must hold after each.

use stateright::{Model, Property};

use super::ledger::{AttemptState, Request, RowAct, TableState, Target, Transition};
use super::process::{Duty, Process, Task};
use super::source::{Attempt, Fence, Source, Writer};
use super::{Rule, Rules};

pub const NO_FALSE_FINAL: &str = "final means that every change is applied";
pub const ONE_PRIMARY: &str = "final means that production is fenced";
pub const LEFT_ALONE: &str = "no rows are written on a final target or under an upgrade";
pub const SAID_IS_SO: &str = "what was said to be lowered stays lowered";
pub const SHORT_OUTAGE: &str = "nothing is copied under the fence";
pub const RECOVERS: &str = "left alone, production writes or final is said, and final can be reached";
pub const FINAL: &str = "final is said of changes";

/// How many processes there are: one may be late, and replaced by the other.
const PROCESSES: usize = 2;

/// More steps than it takes from anywhere to *final*.
const ENOUGH_STEPS: usize = 60;

/// What happens in one exploration: small enough to be complete.
#[derive(Debug, Clone, Copy)]
pub struct Scenario {
    /// The changes that production makes, besides the first.
    pub changes: u8,
    /// How often the lease is taken.
    pub takes: u8,
    pub attempts: u8,
    pub lifts: u8,
    pub resyncs: u8,
    pub upgrades: u8,
    /// Whether the table is copied already.
    pub starts_copied: bool,
    pub may_be_restored: bool,
    /// Whether a request of the ledger can arrive after its sender was told that it failed.
    pub has_late_requests: bool,
}

/// Who takes the application's writes, by what the operator was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operator {
    Waits,
    /// Has heard *final*.
    Told,
    /// Has pointed the application at the target.
    Switched,
}

/// The backup of the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Backup {
    ToBeTaken,
    Taken(Target),
    Restored,
}

/// Everything at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct World {
    pub source: Source,
    pub target: Target,
    pub processes: [Process; PROCESSES],
    /// A request whose sender was told that it failed, and that may arrive all the same.
    pub late: Option<Request>,
    pub operator: Operator,
    /// The operator runs the upgrade's scripts.
    pub upgrading: bool,
    /// The highest attempt of which "production writes again" was said.
    pub said: Attempt,
    /// Rows were written where only the application or the upgrade may.
    pub trespassed: bool,
    pub backup: Backup,
    takes: u8,
    attempts: u8,
    lifts: u8,
    resyncs: u8,
    upgrades: u8,
}

/// One step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    BeginWriter,
    Write(Fence),
    Commit,
    RollBack,
    Raise(Attempt),
    Lower(Attempt),
    LateRequest(Request),
    TakeLease(usize),
    Crash(usize),
    /// The process does what is due.
    Do(usize, Duty),
    BeginResync(usize),
    BeginUpgrade(usize),
    BeginAttempt(usize),
    /// The explicit command.
    Lift(usize),
    /// The next step of its task, whose answer comes.
    Next(usize),
    /// The connection breaks: the request may still arrive.
    Lose(usize),
    GiveUp(usize),
    Switch,
    TakeBackup,
    RestoreBackup,
}

/// The model: a scenario under rules.
pub struct Cutover {
    pub scenario: Scenario,
    pub rules: Rules,
}

impl Model for Cutover {
    type State = World;
    type Action = Step;

    fn init_states(&self) -> Vec<World> {
        vec![World {
            source: Source::new(),
            target: Target::new(self.scenario.starts_copied),
            processes: [Process::NEW; PROCESSES],
            late: None,
            operator: Operator::Waits,
            upgrading: false,
            said: 0,
            trespassed: false,
            backup: if self.scenario.may_be_restored { Backup::ToBeTaken } else { Backup::Restored },
            takes: 0,
            attempts: 0,
            lifts: 0,
            resyncs: 0,
            upgrades: 0,
        }]
    }

    fn actions(&self, world: &World, steps: &mut Vec<Step>) {
        self.steps_of_production(world, steps);
        self.steps_of_operator(world, steps);
        for process in 0..PROCESSES {
            self.steps_of_process(process, world, steps);
        }
    }

    fn next_state(&self, world: &World, step: Step) -> Option<World> {
        let mut next = *world;
        self.take(step, &mut next);
        for process in &mut next.processes {
            let is_holder = process.term == Some(next.target.term);
            if process.task == Task::Idle {
                // It looks at the lease before it begins anything.
                *process = Process { term: process.term.filter(|_| is_holder), ..Process::NEW };
            }
        }
        // One process is like another.
        next.processes.sort_unstable();
        (next != *world).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(NO_FALSE_FINAL, |model: &Cutover, world: &World| {
                let has_all = world.target.rows == world.source.changes;
                !model.is_final(world) || has_all && world.target.table == TableState::Replaying
            }),
            Property::always(ONE_PRIMARY, |model: &Cutover, world: &World| {
                !model.is_final(world) || !world.source.is_open()
            }),
            Property::always(LEFT_ALONE, |_: &Cutover, world: &World| !world.trespassed),
            Property::always(SAID_IS_SO, |_: &Cutover, world: &World| {
                let fence = world.source.fence;
                fence.triggers.iter().all(|attempt| attempt > world.said || !fence.stands(attempt))
            }),
            Property::always(SHORT_OUTAGE, |_: &Cutover, world: &World| {
                let Target { attempt, state, table, .. } = world.target;
                let is_fenced = state == AttemptState::Open && world.source.fence.stands(attempt);
                !is_fenced || table == TableState::Replaying
            }),
            Property::always(RECOVERS, |model: &Cutover, world: &World| model.recovers(*world)),
            Property::sometimes(FINAL, |_: &Cutover, world: &World| {
                world.operator == Operator::Switched && world.source.changes > 1
            }),
        ]
    }
}

impl Cutover {
    /// Whether *final* was said, or would be by a process that reads the ledger and the fence. Before a restore
    /// the ledger alone has to be right.
    fn is_final(&self, world: &World) -> bool {
        let target = &world.target;
        let is_restored = self.scenario.may_be_restored && world.backup == Backup::Restored;
        let is_recorded = target.is_final() && (!is_restored || world.source.fence.stands(target.attempt));
        is_recorded || world.operator != Operator::Waits
    }

    /// Whether one fresh process, undisturbed, gets to replaying with production writing, unless final
    /// was said, and from there to *final*.
    fn recovers(&self, mut world: World) -> bool {
        world.processes = [Process::NEW; PROCESSES];
        world.source.writer = Writer::Idle;
        if let Some(request) = world.late {
            self.take(Step::LateRequest(request), &mut world);
        }
        self.take(Step::TakeLease(0), &mut world);
        self.run(&mut world);
        self.deliver(&mut world);
        let target = &world.target;
        if target.is_final() && !world.source.fence.stands(target.attempt) || self.is_unknown(&world) {
            // A restored ledger: a process refuses, and names the command.
            self.take(Step::Lift(0), &mut world);
            self.run(&mut world);
        }
        if world.operator == Operator::Waits {
            if !world.source.is_open() {
                return false;
            }
            self.take(Step::BeginAttempt(0), &mut world);
            self.run(&mut world);
        }
        world.operator != Operator::Waits && self.is_in_place(&world)
    }

    fn is_in_place(&self, world: &World) -> bool {
        world.target.rows == world.source.changes && !world.source.is_open()
    }

    /// The first process goes on until nothing is due.
    fn run(&self, world: &mut World) {
        for _ in 0..ENOUGH_STEPS {
            let step = match world.processes[0].task {
                Task::Idle => match Process::duty(self.rules, &world.source, &world.target) {
                    Some(Duty::Tell(_)) if world.operator != Operator::Waits => return,
                    Some(duty) => Step::Do(0, duty),
                    None => return,
                },
                _ => Step::Next(0),
            };
            let before = *world;
            self.take(step, world);
            if *world == before {
                self.deliver(world);
            }
            if *world == before {
                return;
            }
        }
    }

    /// Whatever is on its way arrives.
    fn deliver(&self, world: &mut World) {
        let (raises, lowers) = (world.source.raises, world.source.lowers);
        raises.iter().for_each(|attempt| world.source.raise(attempt));
        lowers.iter().for_each(|attempt| world.source.lower(self.rules, attempt));
    }

    /// Whether a fence stands of which the ledger knows nothing.
    fn is_unknown(&self, world: &World) -> bool {
        world.source.fence.refuses() && world.source.fence.triggers.highest() > world.target.attempt
    }

    fn steps_of_production(&self, world: &World, steps: &mut Vec<Step>) {
        let source = &world.source;
        match source.writer {
            Writer::Idle if source.changes <= self.scenario.changes => steps.push(Step::BeginWriter),
            Writer::Idle => {}
            Writer::Begun(snapshot) => steps.push(Step::Write(snapshot)),
            Writer::Written => steps.extend([Step::Commit, Step::RollBack]),
        }
        if source.can_raise(self.rules) {
            steps.extend(source.raises.iter().map(Step::Raise));
        }
        steps.extend(source.lowers.iter().map(Step::Lower));
        steps.extend(world.late.map(Step::LateRequest));
    }

    fn steps_of_operator(&self, world: &World, steps: &mut Vec<Step>) {
        if world.operator == Operator::Told {
            steps.push(Step::Switch);
        }
        match world.backup {
            Backup::ToBeTaken => steps.push(Step::TakeBackup),
            Backup::Taken(target) if world.operator == Operator::Waits => {
                // Not while the command to lower what the backup holds final is still on its way.
                if !target.is_final() || !world.source.lowers.has(target.attempt) {
                    steps.push(Step::RestoreBackup);
                }
            }
            Backup::Taken(_) | Backup::Restored => {}
        }
    }

    fn steps_of_process(&self, process: usize, world: &World, steps: &mut Vec<Step>) {
        let Process { term, task, .. } = world.processes[process];
        let is_free = term.is_none();
        if is_free && world.takes < self.scenario.takes {
            steps.push(Step::TakeLease(process));
            let is_shown = world.target.is_final() || self.is_unknown(world);
            if world.lifts < self.scenario.lifts && is_shown {
                steps.push(Step::Lift(process));
            }
        }
        if is_free {
            return;
        }
        steps.push(Step::Crash(process));
        if task != Task::Idle {
            steps.push(Step::Next(process));
            if matches!(task, Task::Send(_)) && world.late.is_none() && self.scenario.has_late_requests {
                steps.push(Step::Lose(process));
            }
            if world.processes[process].attempt().is_some() {
                steps.push(Step::GiveUp(process));
            }
            return;
        }
        if let Some(duty) = Process::duty(self.rules, &world.source, &world.target) {
            let is_told = matches!(duty, Duty::Tell(_)) && world.operator != Operator::Waits;
            if !is_told {
                steps.push(Step::Do(process, duty));
            }
        }
        self.wishes(process, world, steps);
    }

    /// What an idle holder may be asked to do.
    fn wishes(&self, process: usize, world: &World, steps: &mut Vec<Step>) {
        let target = &world.target;
        if !target.replays() || target.state != AttemptState::Void {
            return;
        }
        if world.resyncs < self.scenario.resyncs {
            steps.push(Step::BeginResync(process));
        }
        if world.upgrades < self.scenario.upgrades {
            steps.push(Step::BeginUpgrade(process));
        }
        if world.attempts < self.scenario.attempts {
            steps.push(Step::BeginAttempt(process));
        }
    }

    fn take(&self, step: Step, world: &mut World) {
        match step {
            Step::BeginWriter => world.source.writer = Writer::Begun(world.source.fence),
            Step::Write(snapshot) => world.source.write(self.rules, snapshot),
            Step::Commit => world.source.commit(),
            Step::RollBack => world.source.writer = Writer::Idle,
            Step::Raise(attempt) => world.source.raise(attempt),
            Step::Lower(attempt) => world.source.lower(self.rules, attempt),
            Step::LateRequest(request) => {
                world.late = None;
                world.target.carry_out(self.rules, request);
            }
            Step::TakeLease(process) => self.take_lease(process, world),
            Step::Crash(process) => world.processes[process] = Process::NEW,
            Step::Do(process, duty) => self.begin(process, duty, world),
            Step::BeginResync(process) => {
                world.resyncs += 1;
                self.send(process, Transition::BeginResync(world.source.changes), world);
            }
            Step::BeginUpgrade(process) => {
                world.upgrades += 1;
                self.send(process, Transition::BeginUpgrade, world);
            }
            Step::BeginAttempt(process) => {
                world.attempts += 1;
                let last = world.target.attempt;
                let attempt = world.source.reserve(self.rules, last);
                self.send(process, Transition::Open { last, attempt }, world);
            }
            Step::Lift(process) => self.lift(process, world),
            Step::Next(process) => self.go_on(process, world),
            Step::Lose(process) => self.lose(process, world),
            Step::GiveUp(process) => self.give_up(process, world),
            Step::Switch => world.operator = Operator::Switched,
            Step::TakeBackup => world.backup = Backup::Taken(world.target),
            Step::RestoreBackup => self.restore(world),
        }
    }

    fn take_lease(&self, process: usize, world: &mut World) {
        world.takes += 1;
        let term = world.target.take_lease(self.rules, world.takes);
        world.processes[process] = Process { term: Some(term), ..Process::NEW };
    }

    /// Takes the lease and lowers what it shows.
    fn lift(&self, process: usize, world: &mut World) {
        world.lifts += 1;
        world.operator = Operator::Waits;
        let shown = world.source.fence.triggers.highest().max(world.target.attempt);
        world.processes.iter_mut().for_each(|process| process.muted = true);
        self.take_lease(process, world);
        self.send(process, Transition::Lift(shown), world);
    }

    fn send(&self, process: usize, transition: Transition, world: &mut World) {
        let Some(term) = world.processes[process].term else { return };
        let task = Process::lower(self.rules, term, transition);
        self.set(process, task, world);
    }

    /// Sets the task of a process, and sends what goes with it.
    fn set(&self, process: usize, task: Task, world: &mut World) {
        match task {
            Task::Raising(attempt) => world.source.raises = world.source.raises.with(attempt),
            Task::Lowering { attempt, .. } => world.source.lowers = world.source.lowers.with(attempt),
            Task::Send(Request { transition: Transition::EndUpgrade, .. }) => world.upgrading = false,
            _ => {}
        }
        world.processes[process].task = task;
    }

    fn begin(&self, process: usize, duty: Duty, world: &mut World) {
        match duty {
            Duty::Send(transition) => self.send(process, transition, world),
            Duty::Lower(attempt) => self.set(process, Task::Lowering { attempt, then: None }, world),
            Duty::Tell(attempt) => self.set(process, Task::Telling(attempt), world),
            Duty::WriteRows => {
                let act = read_rows(world);
                self.set(process, Task::Rows(act), world);
            }
        }
    }

    /// The next step of a task.
    fn go_on(&self, process: usize, world: &mut World) {
        let task = world.processes[process].task;
        let next = match task {
            Task::Idle => Task::Idle,
            Task::Rows(act) => {
                write_rows(act, world);
                Task::Idle
            }
            Task::Send(request) => self.answered(request, world),
            Task::Opened(attempt) => Task::Raising(attempt),
            Task::Raising(attempt) if world.source.fence.triggers.has(attempt) => {
                Task::Draining { attempt, barrier: world.source.changes }
            }
            Task::Draining { attempt, barrier } => self.drain(process, attempt, barrier, world),
            Task::DrainRows { attempt, barrier, act } => {
                write_rows(act, world);
                Task::Draining { attempt, barrier }
            }
            Task::Lowering { attempt, then } if world.source.is_lowered(self.rules, attempt) => {
                world.said = world.said.max(attempt);
                let request = then.zip(world.processes[process].term);
                request.map_or(Task::Idle, |(transition, term)| Task::Send(Request { term, transition }))
            }
            Task::Raising(_) | Task::Lowering { .. } => return,
            Task::Telling(attempt) => {
                let is_fenced = world.source.fence.stands(attempt) || !self.rules.has(Rule::FenceIsRead);
                if is_fenced && !world.processes[process].muted && world.operator == Operator::Waits {
                    world.operator = Operator::Told;
                }
                Task::Idle
            }
        };
        self.set(process, next, world);
    }

    fn answered(&self, request: Request, world: &mut World) -> Task {
        let is_done = world.target.carry_out(self.rules, request);
        if is_done && request.transition == Transition::BeginUpgrade {
            world.upgrading = true;
        }
        Process::after(self.rules, request.transition, is_done, &world.target)
    }

    /// Drains on, or has *final* recorded when the watermark covers the barrier.
    fn drain(&self, process: usize, attempt: Attempt, barrier: u8, world: &World) -> Task {
        let Process { term: Some(term), task, .. } = world.processes[process] else { return Task::Idle };
        let is_reached = world.target.has_reached(barrier);
        if is_reached || world.target.replays() && !self.rules.has(Rule::WatermarkIsAsserted) {
            Task::Send(Request { term, transition: Transition::RecordFinal { attempt, barrier } })
        } else if world.target.replays() {
            Task::DrainRows { attempt, barrier, act: read_rows(world) }
        } else {
            task
        }
    }

    fn lose(&self, process: usize, world: &mut World) {
        let Process { task: Task::Send(request), .. } = world.processes[process] else { return };
        world.late = Some(request);
        match request.transition {
            Transition::Open { attempt, .. } | Transition::RecordFinal { attempt, .. } => {
                self.send(process, Transition::Void(attempt), world);
            }
            // Until there is an answer the fence stays.
            Transition::Void(_) => {}
            _ => self.set(process, Task::Idle, world),
        }
    }

    fn give_up(&self, process: usize, world: &mut World) {
        if let Some(attempt) = world.processes[process].attempt() {
            self.send(process, Transition::Void(attempt), world);
        }
    }

    /// The operator puts the target back to its backup, and believes nothing that was said before.
    fn restore(&self, world: &mut World) {
        if let Backup::Taken(target) = world.backup {
            world.target = target.restored(self.rules);
            world.backup = Backup::Restored;
            world.upgrading = false;
            world.processes.iter_mut().for_each(|process| process.muted = true);
        }
    }
}

fn read_rows(world: &World) -> RowAct {
    let copies = world.target.table == TableState::Copying;
    RowAct { from: world.target.watermark, to: world.source.changes, copies }
}

fn write_rows(act: RowAct, world: &mut World) {
    let is_written = world.target.write_rows(act);
    world.trespassed |= is_written && (world.upgrading || world.operator != Operator::Waits);
}
