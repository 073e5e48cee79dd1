//! Hosts and servers that are killed: what a server took is handled, and again only where the host that had it died before
//! its end was noted (I8).

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::{Conversation, Pair, poll_until, stopped};

/// Kills in the short slice.
const KILLS: usize = 6;
/// How long the long run takes at most.
const LONGEST: Duration = Duration::from_secs(600);
/// How long it takes where `KOS_TORTURE_SECONDS` does not say.
const LONG: Duration = Duration::from_secs(180);
/// What `ping` sends in one go.
const BURST: usize = 20;

/// What was sent, and what of it `ping` was told that the server has.
#[derive(Default)]
struct Sent {
    burst: usize,
    taken: Vec<String>,
}

impl Sent {
    /// Sends a burst of texts that nobody has sent before. `interfere` happens once half of them are said.
    fn burst(&mut self, pair: &Pair, interfere: impl FnOnce(&mut Conversation)) {
        self.burst += 1;
        let texts: Vec<String> = (0..BURST).map(|each| format!("{}-{each}", self.burst)).collect();
        let lines: Vec<String> = texts.iter().map(|text| format!("send pong keep {text}")).collect();
        // Until there is a connection, the first says that there is none.
        let mut script = vec!["until sent send pong news begin"];
        script.extend(lines.iter().map(String::as_str));
        let mut ping = pair.start_ping(&script);
        ping.hear();
        let mut interfere = Some(interfere);
        for (at, text) in texts.iter().enumerate() {
            if at == BURST / 2
                && let Some(interfere) = interfere.take()
            {
                interfere(&mut ping);
            }
            match ping.try_hear().as_deref() {
                Some("sent") => self.taken.push(text.clone()),
                Some(_) => {}
                None => break,
            }
        }
        ping.wait();
    }
}

/// Kills one after another until `is_enough`; the number of kills of `pong`'s host.
fn torture(mut is_enough: impl FnMut(usize) -> bool) {
    let pair = Pair::new();
    let mut sent = Sent::default();
    let mut pong = pair.start_pong();
    let (mut kills, mut kills_of_pong) = (0, 0);
    while !is_enough(kills) {
        match kills % 3 {
            0 => {
                sent.burst(&pair, |_| pong.signal("-KILL"));
                pong.wait();
                pong = pair.start_pong();
                kills_of_pong += 1;
            }
            1 => sent.burst(&pair, |ping| ping.signal("-KILL")),
            _ => sent.burst(&pair, |_| pair.server.kill_and_start_again()),
        }
        kills += 1;
    }
    assert!(sent.taken.len() > kills * BURST / 3, "{} were sent at {kills} kills", sent.taken.len());
    let count = || {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        pair.kept().into_iter().for_each(|(_, text)| *counts.entry(text).or_default() += 1);
        counts
    };
    poll_until("everything that was sent is handled", || {
        let counts = count();
        sent.taken.iter().all(|text| counts.contains_key(text))
    });
    stopped(&pair.pong, pong);
    let most = count().into_values().max();
    assert!(most <= Some(1 + kills_of_pong), "{most:?} times, and the host was killed {kills_of_pong} times");
    for world in [&pair.ping, &pair.pong] {
        world.kos(&["log", "verify"]).succeeded();
    }
}

#[test]
fn hosts_and_servers_killed_at_any_time_lose_no_message_and_repeat_only_at_a_kill() {
    torture(|kills| kills >= KILLS);
}

#[test]
#[ignore = "takes minutes; KOS_TORTURE_SECONDS says how long, and no more than 600"]
fn hosts_and_servers_are_killed_for_minutes() {
    let named = std::env::var("KOS_TORTURE_SECONDS").ok().and_then(|text| text.parse().ok());
    let longest = named.map_or(LONG, Duration::from_secs).min(LONGEST);
    let began = Instant::now();
    torture(|_| began.elapsed() >= longest);
}
