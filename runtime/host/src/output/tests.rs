#![expect(clippy::unwrap_used, reason = "a test that cannot set up its streams has failed")]

use super::*;
use crate::outcome::Ended;

type Shown = Arc<Mutex<Vec<u8>>>;

fn streams(limit: u64, prefix: Option<&str>) -> (Output, Shown) {
    let shown = Shown::default();
    let sink = Sink::shared(Arc::clone(&shown));
    (Writer::start().unwrap().streams(limit, prefix, sink.clone(), sink), shown)
}

fn text(shown: &Shown) -> String {
    String::from_utf8(shown.lock().unwrap().clone()).unwrap()
}

#[tokio::test]
async fn a_line_is_shown_whole_and_clean() {
    let (mut output, shown) = streams(1000, None);
    output.stdout.write(Bytes::from_static(b"one \x1b[31mre")).unwrap();
    output.stdout.write(Bytes::from_static(b"d\x1b[0m\xff\n")).unwrap();
    output.finish().await;
    assert_eq!(text(&shown), "one red\u{fffd}\n");
    assert_eq!(output.written(), 18);
}

#[tokio::test]
async fn with_several_agents_every_line_carries_its_name() {
    let (mut output, shown) = streams(1000, Some("weather"));
    output.stdout.write(Bytes::from_static(b"one\ntwo\nthr")).unwrap();
    output.stdout.flush().unwrap();
    output.stderr.write(Bytes::from_static(b"careful\n")).unwrap();
    output.finish().await;
    assert_eq!(text(&shown), "[weather] one\n[weather] two\n[weather] careful\n[weather] thr\n");
}

#[tokio::test]
async fn output_beyond_the_cap_ends_the_agent() {
    let (mut output, _shown) = streams(8, None);
    output.stdout.write(Bytes::from_static(b"12345678")).unwrap();
    let refused = output.stderr.write(Bytes::from_static(b"9")).unwrap_err();
    let StreamError::Trap(error) = refused else { unreachable!("the cap traps") };
    assert_eq!(error.downcast_ref::<Ended>(), Some(&Ended::Output));
}

#[tokio::test]
async fn a_character_cut_in_two_by_a_flush_is_shown_whole() {
    let (mut output, shown) = streams(1000, None);
    let euro = "€".as_bytes();
    output.stdout.write(Bytes::copy_from_slice(euro.get(..2).unwrap())).unwrap();
    output.stdout.flush().unwrap();
    output.stdout.write(Bytes::copy_from_slice(euro.get(2..).unwrap())).unwrap();
    output.finish().await;
    assert_eq!(text(&shown), "€");
}

#[tokio::test]
async fn a_line_without_end_is_not_held_back_for_ever() {
    let (mut output, _shown) = streams(1 << 20, None);
    for _ in 0..64 {
        output.stdout.write(Bytes::from(vec![b'x'; 4 << 10])).unwrap();
        assert!(output.stdout.lines().held.len() <= LINE_BYTES);
    }
}

struct Broken;

impl Write for Broken {
    fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
        Err(std::io::ErrorKind::BrokenPipe.into())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_reader_that_is_gone_closes_the_stream() {
    let writer = Writer::start().unwrap();
    let mut output = writer.streams(1000, None, Sink::new(Broken), Sink::discard());
    output.stdout.write(Bytes::from_static(b"line\n")).unwrap();
    output.finish().await;
    assert!(matches!(output.stdout.check_write(), Err(StreamError::Closed)));
}
