//! Drawing and timing, interleaved: in every round each point draws the same images, in an order that moves on
//! by one from round to round, so that whatever else the machine does falls on all alike.

use std::ops::{ControlFlow, Range};
use std::time::Instant;

use super::drawn::{Drawn, Image};
use super::ledger::{Ledger, Line};
use super::models::Models;
use super::peer::{Peer, Program};
use super::plan::Peers;
use super::points::Point;
use super::told::{Tell, Told, go_on};
use super::{BenchError, PeerFacts, Role, memory};
use crate::observer::Event;
use crate::{Error, Request, Sampler};

/// What runs a point.
enum Runner {
    Sampler(Box<Sampler>),
    Peer(Box<Peer>),
}

/// What drawing a point in a round came to; nothing where it was stopped.
type Outcome = Option<Timed>;

/// What a point drew in a round, and how long that took.
struct Timed {
    seconds: f64,
    peak_rss: Option<u64>,
    drawn: Drawn,
    peer: Option<PeerFacts>,
}

/// Draws every round that is missing. A point that fails is left out of further rounds; its reason is in the
/// list given back, by id. `None`: it was stopped.
///
/// # Errors
/// The disk's; a point's own failure is not one.
pub fn draw(
    models: &Models,
    ledger: &mut Ledger,
    tell: &mut Tell,
) -> Result<Option<Vec<(String, String)>>, BenchError> {
    let points = ledger.run().points.clone();
    let own = ledger.run().own_rounds()?;
    let rounds = ledger.run().rounds.clone();
    let wanted = points.iter().map(|p| ledger.run().rounds_of(p)).collect::<Result<Vec<_>, _>>()?;
    let is_missing = |(point, rounds): (&Point, &Vec<usize>)| {
        rounds.iter().filter(|&&r| ledger.line(&point.id, r).is_none()).count()
    };
    let left: usize = points.iter().zip(&wanted).map(is_missing).sum();
    if tell(Told::Drawing { left, rounds: own.len(), points: points.len() }).is_break() {
        return Ok(None);
    }
    let mut failed: Vec<(String, String)> = vec![];
    if left == 0 {
        return Ok(Some(failed));
    }
    let mut runners = Vec::with_capacity(points.len());
    for (point, rounds) in points.iter().zip(&wanted) {
        let done = ledger.is_drawn(&point.id, rounds);
        let runner = match runner(models, point, done, ledger.run().plan.peers.as_ref(), tell)? {
            Ok(runner) => runner,
            Err(reason) => {
                if tell(Told::Failed { point, reason: &reason }).is_break() {
                    return Ok(None);
                }
                failed.push((point.id.clone(), reason));
                None
            }
        };
        runners.push(runner);
    }
    let session = ledger.new_session();
    let resumed = ledger.lines().next().is_some();
    if resumed && !warm_up(models, &points, &mut runners, &rounds, tell)? {
        return Ok(None);
    }
    for round in own.clone() {
        let images = rounds[round][0]..rounds[round][1];
        for turn in 0..points.len() {
            let at = (turn + round) % points.len();
            let point = &points[at];
            let Some(runner) = &mut runners[at] else { continue };
            if !wanted[at].contains(&round) || ledger.line(&point.id, round).is_some() {
                continue;
            }
            match draw_round(models, point, runner, images.clone(), tell) {
                Ok(Some(Timed { seconds, peak_rss, drawn, peer })) => {
                    let line = Line {
                        point: point.id.clone(),
                        round,
                        images: images.len(),
                        seconds,
                        timed: round != own.start,
                        peak_rss,
                        session: session.clone(),
                        peer,
                    };
                    ledger.keep(line, &drawn)?;
                    if tell(Told::Drawn { point, round, images: images.len(), seconds }).is_break() {
                        return Ok(None);
                    }
                }
                Ok(None) => return Ok(None),
                Err(error) => {
                    let reason = error.to_string();
                    let stop = tell(Told::Failed { point, reason: &reason }).is_break();
                    failed.push((point.id.clone(), reason));
                    runners[at] = None;
                    if stop {
                        return Ok(None);
                    }
                }
            }
        }
    }
    Ok(Some(failed))
}

/// A resumed run is cold again: the points of full depth draw some images that nobody keeps.
fn warm_up(
    models: &Models,
    points: &[Point],
    runners: &mut [Option<Runner>],
    rounds: &[[usize; 2]],
    tell: &mut Tell,
) -> Result<bool, BenchError> {
    for (point, runner) in points.iter().zip(runners).filter(|(p, _)| p.id == p.full) {
        let Some(runner) = runner else { continue };
        let images = 0..(point.settings.batch * point.settings.threads).min(rounds[0][1]);
        if let Ok(None) = draw_round(models, point, runner, images, tell) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// What runs a point; `None` where nothing is left to run. The inner error is the reason of a peer that will not start.
fn runner(
    models: &Models,
    point: &Point,
    done: bool,
    peers: Option<&Peers>,
    tell: &mut Tell,
) -> Result<Result<Option<Runner>, String>, BenchError> {
    let Role::Peer { name } = &point.role else {
        return Ok(Ok(Some(Runner::Sampler(Box::new(models.sampler(point)?)))));
    };
    if done {
        return Ok(Ok(None));
    }
    let what = format!("start of {}", point.name());
    if tell(Told::Working { what: &what }).is_break() {
        return Ok(Ok(None));
    }
    let python = peers.and_then(|p| p.python.as_ref());
    let program = Program::find().map(|found| match python {
        Some(python) => Program { python: python.into(), ..found },
        None => found,
    });
    let start = |program| Peer::start_as(&program, name, models.model(point), &point.settings);
    Ok(program.and_then(start).map(|peer| Some(Runner::Peer(Box::new(peer)))).map_err(|e| e.to_string()))
}

fn draw_round(
    models: &Models,
    point: &Point,
    runner: &mut Runner,
    images: Range<usize>,
    tell: &mut Tell,
) -> Result<Outcome, Box<dyn std::error::Error>> {
    let request = models.request(point, images);
    let value_range = models.model(point).config.value_range;
    match runner {
        Runner::Sampler(sampler) => Ok(draw_ours(sampler, &request, value_range, tell)?),
        Runner::Peer(peer) => {
            if !go_on(tell) {
                return Ok(None);
            }
            let drawn = peer.draw(&request)?;
            let facts = peer.facts(&drawn);
            let rows = if point.settings.guidance == 1.0 { 1.0 } else { 2.0 };
            let full_cost = rows * point.times.len() as f64;
            let (seconds, peak_rss) = (drawn.seconds, drawn.peak_rss);
            let (images, share) = (&drawn.images, drawn.cost_share);
            let drawn = Drawn::of_peer(images, value_range, &request.classes, share, full_cost)?;
            Ok(Some(Timed { seconds, peak_rss, drawn, peer: Some(facts) }))
        }
    }
}

fn draw_ours(
    sampler: &Sampler,
    request: &Request,
    value_range: [f64; 2],
    tell: &mut Tell,
) -> Result<Outcome, Error> {
    let watched = memory::reset_peak();
    let start = Instant::now();
    let mut finished = Vec::with_capacity(request.len());
    let mut failure = None;
    let complete = sampler.run(request, &mut |event: &Event| {
        if let Event::Finished(sample) = event {
            // Pixels are what is asked for: making them is part of the time.
            match Image::new(sample, value_range) {
                Ok(image) => finished.push(image),
                Err(error) => {
                    failure = Some(error);
                    return ControlFlow::Break(());
                }
            }
        }
        tell(Told::Tick)
    })?;
    let seconds = start.elapsed().as_secs_f64();
    if let Some(error) = failure {
        return Err(error.into());
    }
    if !complete {
        return Ok(None);
    }
    let peak_rss = if watched { memory::peak() } else { None };
    Ok(Some(Timed { seconds, peak_rss, drawn: Drawn::new(finished)?, peer: None }))
}
