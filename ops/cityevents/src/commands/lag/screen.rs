//! The terminal while the view is open. It is given back as it was, however that ends.

use std::process::ExitCode;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use cityevents_kit::Config;
use jiff::Timestamp;
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyEventKind};

use super::draw::draw;
use super::look::{Look, Looker};
use super::view::{Next, View};
use crate::admin::Question;

/// Longest time without drawing: ages are told to the second.
const FRAME: Duration = Duration::from_millis(200);

/// What comes from elsewhere than the keyboard.
enum News {
    Look(anyhow::Result<Look>),
    /// Somebody asked the process to stop.
    Stop,
}

/// Whoever looks, away from the keyboard: a log that is away lets whoever asks wait.
struct Looks {
    news: Receiver<News>,
    thread: JoinHandle<()>,
    /// A cluster comes back; a folder that has no instance gets none by itself.
    is_cluster: bool,
}

/// Shows the view until somebody leaves it.
pub(super) fn run(config: Config, question: Question) -> anyhow::Result<ExitCode> {
    let (tell, news) = channel();
    stop_by_signal(tell.clone())?;
    // It also makes a panic, of any thread, give the terminal back before it is told.
    let ended = ratatui::try_init()
        .context("no view can be shown on this terminal; through a pipe, looks are printed")
        .and_then(|mut terminal| {
            let (every, is_cluster) = (config.lag.every, config.is_cluster());
            let looker = Looker::new(config, question);
            let thread = Builder::new().name("lag-looks".to_owned());
            let thread = thread.spawn(move || look_on(looker, every, &tell))?;
            show(&mut terminal, View::new(every), &Looks { news, thread, is_cluster })
        });
    let restored = ratatui::try_restore();
    ended?;
    restored.context("the terminal could not be given back as it was: `reset` helps")?;
    Ok(ExitCode::SUCCESS)
}

fn look_on(mut looker: Looker, every: Duration, tell: &Sender<News>) {
    while tell.send(News::Look(looker.look())).is_ok() {
        std::thread::sleep(every);
    }
}

fn show(terminal: &mut DefaultTerminal, mut view: View, looks: &Looks) -> anyhow::Result<()> {
    loop {
        let mut fits = 0;
        terminal.draw(|frame| fits = draw(&view, Timestamp::now(), frame))?;
        view.fit(fits);
        let mut wait = FRAME;
        while event::poll(wait)? {
            if let Event::Key(key) = event::read()?
                && key.kind != KeyEventKind::Release
                && view.press(key) == Next::Leave
            {
                return Ok(());
            }
            wait = Duration::ZERO;
        }
        if take_news(&mut view, looks)? == Next::Leave {
            return Ok(());
        }
    }
}

fn take_news(view: &mut View, looks: &Looks) -> anyhow::Result<Next> {
    loop {
        match looks.news.try_recv() {
            Ok(News::Look(Ok(look))) => view.take(look),
            Ok(News::Look(Err(error))) if looks.is_cluster || view.has_looked() => {
                view.fail(Timestamp::now(), &error);
            }
            Ok(News::Look(Err(error))) => return Err(error),
            Ok(News::Stop) => return Ok(Next::Leave),
            Err(TryRecvError::Empty | TryRecvError::Disconnected) => {
                ensure!(!looks.thread.is_finished(), "nobody looks any more: that is a bug");
                return Ok(Next::Stay);
            }
        }
    }
}

/// A process that is told to stop leaves the view first.
#[cfg(unix)]
fn stop_by_signal(tell: Sender<News>) -> anyhow::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (mut terminate, mut interrupt) = {
        let _entered = runtime.enter();
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?)
    };
    Builder::new().name("lag-signals".to_owned()).spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        });
        let _left = tell.send(News::Stop);
    })?;
    Ok(())
}

#[cfg(not(unix))]
fn stop_by_signal(_tell: Sender<News>) -> anyhow::Result<()> {
    Ok(())
}
