use proptest::prelude::*;

use super::*;

const OPEN: Limits = Limits { authenticated: true, max_bulk_len: 512 << 20 };
const CLOSED: Limits = Limits { authenticated: false, max_bulk_len: 512 << 20 };

impl Decoder {
    fn is_idle(&self) -> bool {
        (self.pos, self.scanned, self.missing, self.bulk) == (0, 0, 0, UNKNOWN) && self.args.is_empty()
    }
}

type Command = Vec<Vec<u8>>;

/// What a connection that sent `pieces` sees: its commands, and how it ended: the error, or the number
/// of bytes kept for later.
fn feed<'a>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
    limits: &Limits,
) -> (Vec<Command>, Result<usize, ProtocolError>) {
    let mut decoder = Decoder::default();
    let mut commands = Vec::new();
    let (mut buf, mut spans) = (Vec::new(), Vec::new());
    let (mut at, mut piece_index) = (0, 0);
    let mut head = Head::default();
    for piece in pieces {
        buf.extend_from_slice(piece);
        let need = loop {
            let spans_before = spans.len();
            let mut alike = Vec::new();
            let alike_end = Decoder::decode_alike(&buf, at, &head, limits, &mut alike);
            let plain_end = decoder.decode_plain(&buf, at, limits, &mut spans);
            if alike_end.is_some() {
                assert_eq!((alike_end, &alike[..]), (plain_end, &spans[spans_before..]));
            }
            if let Some(end) = plain_end {
                head = Head::of(at, &spans[spans_before..]);
                // What is plain is the same to both.
                let mut others = Vec::new();
                let step = Decoder::default().decode(&mut buf, at, limits, &mut others);
                assert_eq!(step, Ok(Step::Command { args: others.len(), end }));
                assert_eq!(spans[spans_before..], others);
                if commands.len() % 2 == 0 {
                    commands.push(others.iter().map(|span| span.slice(&buf).to_vec()).collect());
                    at = end;
                    continue;
                }
                spans.truncate(spans_before);
            }
            assert_eq!(spans.len(), spans_before);
            match decoder.decode(&mut buf, at, limits, &mut spans) {
                Ok(Step::Command { args, end }) => {
                    assert_eq!(spans.len(), spans_before + args);
                    assert!(end > at && end <= buf.len() && args > 0);
                    commands
                        .push(spans[spans_before..].iter().map(|span| span.slice(&buf).to_vec()).collect());
                    at = end;
                }
                Ok(Step::Incomplete { end, need }) => {
                    assert_eq!(spans.len(), spans_before);
                    assert!(end >= at && end <= buf.len());
                    at = end;
                    break need;
                }
                Err(error) => {
                    assert_eq!(spans.len(), spans_before);
                    assert!(decoder.is_idle());
                    return (commands, Err(error));
                }
            }
        };
        assert!(need > 0);
        // Every other time, move the partial command to the front as a connection does.
        piece_index += 1;
        if piece_index % 2 == 0 {
            buf.drain(..at);
            spans.clear();
            head = Head::default();
            at = 0;
        }
    }
    (commands, Ok(buf.len() - at))
}

#[test]
fn commands_that_begin_alike() {
    let first = b"*3\r\n$3\r\nSET\r\n$5\r\nkey:1\r\n$1\r\nv\r\n";
    let is_alike = |second: &[u8]| {
        let buf = [first, second].concat();
        let mut spans = Vec::new();
        let mut decoder = Decoder::default();
        assert_eq!(decoder.decode_plain(&buf, 0, &OPEN, &mut spans), Some(first.len()));
        let head = Head::of(0, &spans);
        spans.clear();
        let end = Decoder::decode_alike(&buf, first.len(), &head, &OPEN, &mut spans);
        assert_eq!(end.is_some(), !spans.is_empty());
        let Some(end) = end else { return false };
        let mut plain = Vec::new();
        assert_eq!(decoder.decode_plain(&buf, first.len(), &OPEN, &mut plain), Some(end));
        assert_eq!(spans, plain);
        true
    };
    assert!(is_alike(first));
    assert!(is_alike(b"*3\r\n$3\r\nSET\r\n$5\r\nkey:2\r\n$12\r\nanother text\r\n*1\r\n"));
    for (same, cut) in [(&first[..], 1), (first, 4), (first, 20), (first, first.len() - 1)] {
        assert!(!is_alike(&same[..cut]), "cut at {cut}");
    }
    assert!(!is_alike(b""));
    assert!(!is_alike(b"*3\r\n$3\r\nGET\r\n$5\r\nkey:1\r\n$1\r\nv\r\n"));
    assert!(!is_alike(b"*3\r\n$3\r\nset\r\n$5\r\nkey:1\r\n$1\r\nv\r\n"));
    assert!(!is_alike(b"*4\r\n$3\r\nSET\r\n$5\r\nkey:1\r\n$1\r\nv\r\n$2\r\nNX\r\n"));
    assert!(!is_alike(b"*3\r\n$3\r\nSET\r\n$6\r\nkey:10\r\n$1\r\nv\r\n"));
    assert!(!is_alike(b"*3\r\n$3\r\nSET\r\n$5\r\nkey:1\r\n$x\r\nv\r\n"));
    // Without arguments nothing begins like it.
    assert_eq!(Head::of(0, &[Span { start: 8, len: 4 }]).len, 0);
}

fn feed_whole(input: &[u8]) -> (Vec<Command>, Result<usize, ProtocolError>) {
    feed([input], &OPEN)
}

fn error_of(input: &[u8]) -> ProtocolError {
    feed_whole(input).1.expect_err("the input must be refused")
}

fn reply_of(error: ProtocolError) -> Vec<u8> {
    let mut reply = Vec::new();
    error.append_reply(&mut reply);
    reply
}

fn command(words: &[&str]) -> Command {
    words.iter().map(|word| word.as_bytes().to_vec()).collect()
}

fn encode(args: &[Vec<u8>]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", args.len()).into_bytes();
    for arg in args {
        out.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
        out.extend_from_slice(arg);
        out.extend_from_slice(b"\r\n");
    }
    out
}

#[test]
fn commands_of_both_kinds_follow_each_other() {
    let (commands, end) = feed_whole(b"*2\r\n$4\r\nECHO\r\n$0\r\n\r\nset k 'a b'\r\n*1\r\n$4\r\nPING\r\nPI");
    assert_eq!(commands, [command(&["ECHO", ""]), command(&["set", "k", "a b"]), command(&["PING"])]);
    assert_eq!(end, Ok(2));
}

#[test]
fn empty_requests_are_skipped_and_not_kept() {
    let empty = b"\r\n\n*0\r\n*-1\r\n*-9223372036854775808\r\n  \t\r\n";
    assert_eq!(feed_whole(empty), (vec![], Ok(0)));
    assert_eq!(feed_whole(&[empty, &b"PING\n"[..]].concat()), (vec![command(&["PING"])], Ok(0)));
    // A replica sends nothing but newlines for as long as it loads: the buffer must not grow with them.
    let (commands, end) = feed(std::iter::repeat_n(&b"\n\n*"[..2], 1000), &OPEN);
    assert_eq!((commands, end), (vec![], Ok(0)));
}

#[test]
fn inline_lines_end_with_a_newline_and_lose_one_return() {
    assert_eq!(feed_whole(b"PING\n").0, [command(&["PING"])]);
    assert_eq!(feed_whole(b"PING\r\r\n").0, [command(&["PING"])]);
    assert_eq!(feed_whole(b"echo a\x0b\r\n").0, [command(&["echo", "a\x0b"])]);
    assert_eq!(feed_whole(b"echo a\rb\n").0, [command(&["echo", "a", "b"])]);
    assert_eq!(feed_whole(b"PING\r"), (vec![], Ok(5)));
    assert_eq!(feed_whole(b"\x80\xff\n").0, [vec![b"\x80\xff".to_vec()]]);
    assert_eq!(
        feed_whole(b"echo \"\\x41\\n\\q\" a\"b c\" ''\r\n").0,
        [command(&["echo", "A\nq", "ab c", ""])]
    );
}

#[test]
fn unbalanced_quotes_are_refused() {
    for line in [&b"set \"a\n"[..], b"echo 'a'b\r\n", b"\"\r\n"] {
        assert_eq!(error_of(line), ProtocolError::UnbalancedQuotes);
    }
    // Until the line has ended, an open quote is nothing but unfinished.
    assert_eq!(feed_whole(b"set \"a"), (vec![], Ok(6)));
}

#[test]
fn the_bytes_of_line_ends_are_not_checked() {
    assert_eq!(feed_whole(b"*1\rX$4\rYPINGab").0, [command(&["PING"])]);
}

#[test]
fn a_nul_hides_the_end_of_its_line() {
    for stalled in [&b"\0PING\r\nPING\r\n"[..], b"*1\0\r\n", b"*2\r\n$4\r\necho\r\n\0\r\n"] {
        let (commands, end) = feed_whole(stalled);
        assert_eq!((commands.len(), end), (0, Ok(stalled.len())));
    }
    let long = [vec![0], vec![b'\n'; LINE_SIZE_MAX]].concat();
    assert_eq!(error_of(&long), ProtocolError::TooBigInline);
}

#[test]
fn counts_are_canonical_integers_up_to_int_max() {
    for count in ["", "x", "01", "-0", "-", "+1", " 1", "1 ", "1.0", "2147483648", "9223372036854775808"] {
        assert_eq!(error_of(format!("*{count}\r\n").as_bytes()), ProtocolError::InvalidCount, "{count:?}");
    }
    for count in ["1", "999999999", "1000000000", "2147483647"] {
        assert_eq!(feed_whole(format!("*{count}\r\n").as_bytes()).1, Ok(count.len() + 3), "{count}");
    }
}

#[test]
fn lengths_are_canonical_integers_up_to_the_configured_maximum() {
    for size in ["", "x", "-1", "-0", "04", "536870913", "9223372036854775807", "9223372036854775808"] {
        assert_eq!(
            error_of(format!("*1\r\n${size}\r\n").as_bytes()),
            ProtocolError::InvalidLength,
            "{size:?}"
        );
    }
    assert_eq!(feed_whole(b"*1\r\n$536870912\r\n").1, Ok(16));
    let limits = Limits { authenticated: true, max_bulk_len: 5 };
    assert_eq!(feed([&b"*1\r\n$5\r\n12345\r\n"[..]], &limits).0.len(), 1);
    assert_eq!(feed([&b"*1\r\n$6\r\n123456\r\n"[..]], &limits).1, Err(ProtocolError::InvalidLength));
}

#[test]
fn requests_that_cannot_fit_four_gib_are_refused_by_their_claim() {
    let limits = Limits { authenticated: true, max_bulk_len: u64::MAX };
    for size in ["4294967295", "4294967290", "9223372036854775807"] {
        let request = format!("*1\r\n${size}\r\n");
        assert_eq!(feed([request.as_bytes()], &limits).1, Err(ProtocolError::TooBigRequest), "{size}");
    }
    assert_eq!(feed([&b"*1\r\n$4294967276\r\n"[..]], &limits).1, Ok(17));
    assert_eq!(feed([&b"*1\r\n$4294967277\r\n"[..]], &limits).1, Err(ProtocolError::TooBigRequest));
}

#[test]
fn an_argument_must_start_with_a_dollar() {
    for (byte, reply) in [
        (b'x', &b"-ERR Protocol error: expected '$', got 'x'\r\n"[..]),
        (b'\t', b"-ERR Protocol error: expected '$', got '\t'\r\n"),
        (b'\n', b"-ERR Protocol error: expected '$', got ' '\r\n"),
        (b'\r', b"-ERR Protocol error: expected '$', got ' '\r\n"),
        (0xff, b"-ERR Protocol error: expected '$', got '\xff'\r\n"),
    ] {
        let error = error_of(&[&b"*1\r\n"[..], &[byte], b"\r\n"].concat());
        assert_eq!(error, ProtocolError::ExpectedDollar(byte));
        assert_eq!(reply_of(error), reply);
    }
    // Redis looks at the first byte only once the line has ended.
    assert_eq!(feed_whole(b"*1\r\nx").1, Ok(5));
    assert_eq!(ProtocolError::ExpectedDollar(0xff).to_string(), "expected '$', got '\\xff'");
}

#[test]
fn clients_that_have_not_authenticated_get_less() {
    let refused = |input: &[u8]| feed([input], &CLOSED).1;
    assert_eq!(refused(b"*11\r\n"), Err(ProtocolError::UnauthenticatedCount));
    assert_eq!(refused(b"*10\r\n"), Ok(5));
    assert_eq!(refused(b"*2147483647\r\n"), Err(ProtocolError::UnauthenticatedCount));
    assert_eq!(refused(b"*2147483648\r\n"), Err(ProtocolError::InvalidCount));
    assert_eq!(refused(b"*1\r\n$16385\r\n"), Err(ProtocolError::UnauthenticatedLength));
    assert_eq!(refused(b"*1\r\n$16384\r\n"), Ok(12));
    assert_eq!(refused(b"*1\r\n$536870913\r\n"), Err(ProtocolError::InvalidLength));
    let whole = encode(&[vec![b'a'; 16385]]);
    assert_eq!(refused(&whole), Err(ProtocolError::UnauthenticatedLength));
    assert_eq!(feed_whole(&whole).0.len(), 1);
}

#[test]
fn open_lines_of_more_than_64_kib_are_refused() {
    let line = |first: &[u8], size: usize| {
        let mut line = first.to_vec();
        line.resize(size, b'1');
        line
    };
    for (first, error) in [(&b"1"[..], ProtocolError::TooBigInline), (b"*", ProtocolError::TooBigCount)] {
        assert_eq!(feed_whole(&line(first, 65536)).1, Ok(65536));
        assert_eq!(error_of(&line(first, 65537)), error);
    }
    assert_eq!(feed_whole(&line(b"*1\r\n$", 4 + 65536)).1, Ok(4 + 65536));
    assert_eq!(error_of(&line(b"*1\r\n$", 4 + 65537)), ProtocolError::TooBigLength);
    // A return at the very end is the end of the line, though it is not complete.
    assert_eq!(feed_whole(&[line(b"*1\r\n$", 70000), b"\r".to_vec()].concat()).1, Ok(70001));
    // A long line that is here whole is no longer than any other.
    assert_eq!(feed_whole(&[line(b"1", 70000), b"\n".to_vec()].concat()).0[0][0].len(), 70000);
    assert_eq!(error_of(&[line(b"*", 70000), b"\r\n".to_vec()].concat()), ProtocolError::InvalidCount);
}

#[test]
fn texts_are_those_of_redis() {
    for (error, reply, log) in [
        (ProtocolError::TooBigInline, "too big inline request", "too big inline request"),
        (ProtocolError::TooBigCount, "too big mbulk count string", "too big mbulk count string"),
        (ProtocolError::TooBigLength, "too big bulk count string", "too big bulk count string"),
        (ProtocolError::InvalidCount, "invalid multibulk length", "invalid mbulk count"),
        (ProtocolError::InvalidLength, "invalid bulk length", "invalid bulk length"),
        (ProtocolError::UnauthenticatedCount, "unauthenticated multibulk length", "unauth mbulk count"),
        (ProtocolError::UnauthenticatedLength, "unauthenticated bulk length", "unauth bulk length"),
        (ProtocolError::ExpectedDollar(b'x'), "expected '$', got 'x'", "expected $ but got something else"),
        (
            ProtocolError::UnbalancedQuotes,
            "unbalanced quotes in request",
            "unbalanced quotes in inline request",
        ),
    ] {
        assert_eq!(error.to_string(), reply);
        assert_eq!(reply_of(error), format!("-ERR Protocol error: {reply}\r\n").into_bytes());
        assert_eq!(error.log_reason(), log);
    }
}

#[test]
fn a_claimed_count_reserves_nothing() {
    let mut decoder = Decoder::default();
    let mut spans = Vec::new();
    let mut buf = b"*1000000000\r\n$1\r\na\r\n".to_vec();
    let step = decoder.decode(&mut buf, 0, &OPEN, &mut spans);
    assert_eq!(step, Ok(Step::Incomplete { end: 0, need: 1 }));
    assert!(decoder.args.capacity() < 100 && spans.capacity() < 100);
}

#[test]
fn a_big_bulk_says_what_it_needs_and_is_looked_at_once() {
    let mut decoder = Decoder::default();
    let mut spans = Vec::new();
    let size = 1 << 20;
    let whole = encode(&[b"SET".to_vec(), b"k".to_vec(), vec![b'v'; size]]);
    let data = whole.len() - size - 2;
    let mut buf = [&b"garbage"[..], &whole[..data + 10]].concat();
    let step = decoder.decode(&mut buf, 7, &OPEN, &mut spans);
    assert_eq!(step, Ok(Step::Incomplete { end: 7, need: size + 2 - 10 }));
    assert_eq!(decoder.pos as usize, data, "the next call starts at the bulk");

    // Moved to the front, with what is decoded already overwritten: nobody looks at it again.
    buf.drain(..7);
    buf[..data].fill(b'?');
    buf.extend_from_slice(&whole[data + 10..whole.len() - 1]);
    let step = decoder.decode(&mut buf, 0, &OPEN, &mut spans);
    assert_eq!(step, Ok(Step::Incomplete { end: 0, need: 1 }));
    buf.push(b'\n');
    let step = decoder.decode(&mut buf, 0, &OPEN, &mut spans);
    assert_eq!(step, Ok(Step::Command { args: 3, end: whole.len() }));
    assert_eq!(spans[2], Span { start: data as u32, len: size as u32 });
    assert_eq!(spans[2].slice(&buf), vec![b'v'; size]);
    assert!(decoder.is_idle());
}

#[test]
fn an_idle_decoder_gives_back_the_room_of_many_arguments() {
    let many = encode(&vec![b"x".to_vec(); 10_000]);
    let mut decoder = Decoder::default();
    let (mut buf, mut spans) = (many[..many.len() - 1].to_vec(), Vec::new());
    assert!(matches!(
        decoder.decode(&mut buf, 0, &OPEN, &mut spans),
        Ok(Step::Incomplete { end: 0, need: 1 })
    ));
    buf.push(b'\n');
    let step = decoder.decode(&mut buf, 0, &OPEN, &mut spans);
    assert_eq!(step, Ok(Step::Command { args: 10_000, end: many.len() }));
    assert!(decoder.args.is_empty() && decoder.args.capacity() <= IDLE_ARGS_MAX);
}

#[test]
fn reset_forgets_a_partial_command() {
    let mut decoder = Decoder::default();
    let mut spans = Vec::new();
    let step = decoder.decode(&mut b"*2\r\n$1\r\na\r\n$5".to_vec(), 0, &OPEN, &mut spans);
    assert_eq!(step, Ok(Step::Incomplete { end: 0, need: 1 }));
    assert!(!decoder.is_idle());
    decoder.reset();
    let step = decoder.decode(&mut b"PING\n".to_vec(), 0, &OPEN, &mut spans);
    assert_eq!(step, Ok(Step::Command { args: 1, end: 5 }));
}

/// A request of a well-behaved or a slightly damaged client.
fn request() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        6 => prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 0..6).prop_map(|args| encode(&args)),
        3 => r#"[a-c"'\\x0-9 \t]{0,20}\r?\n"#.prop_map(String::into_bytes),
        1 => r"\*-?[0-9]{1,2}\r\n".prop_map(String::into_bytes),
        1 => r"\*1\r\n\$-?[0-9]{1,6}\r[\n1]".prop_map(String::into_bytes),
        1 => r"[*$a0\r\n\x00-]{1,8}".prop_map(String::into_bytes),
    ]
}

proptest! {
    #[test]
    fn how_the_bytes_arrive_changes_nothing(
        requests in prop::collection::vec(request(), 0..8),
        size in 1..40_usize,
        authenticated: bool,
    ) {
        let limits = Limits { authenticated, ..OPEN };
        let stream = requests.concat();
        let whole = feed([&stream[..]], &limits);
        prop_assert_eq!(&feed(stream.chunks(1), &limits), &whole);
        prop_assert_eq!(&feed(stream.chunks(size), &limits), &whole);
    }

    #[test]
    fn what_is_encoded_is_decoded(
        commands in prop::collection::vec(prop::collection::vec(any::<Vec<u8>>(), 1..20), 0..8),
        size in 1..200_usize,
    ) {
        let stream: Vec<u8> = commands.iter().flat_map(|args| encode(args)).collect();
        prop_assert_eq!(feed(stream.chunks(size), &OPEN), (commands, Ok(0)));
    }

    #[test]
    fn garbage_never_panics(stream: Vec<u8>, shaped in r"[*$0-9\r\n \x00-]{0,60}") {
        for input in [&stream[..], shaped.as_bytes()] {
            prop_assert_eq!(feed(input.chunks(3), &OPEN).0, feed_whole(input).0);
        }
    }

    #[test]
    fn plain_lengths_are_short_lengths(text in r"[$0-9\r\n-]{0,10}") {
        let text = text.as_bytes();
        let short = text.strip_prefix(b"$").and_then(short_length);
        prop_assert_eq!(plain_length(text), short.map(|(size, rest)| (size, text.len() - rest.len())));
    }

    #[test]
    fn short_lengths_agree_with_integers(text in r"[0-9x-]{0,12}") {
        let line = format!("{text}\r\nrest");
        let short = short_length(line.as_bytes());
        let expected = parse_integer(text.as_bytes()).filter(|value| (0..1_000_000_000).contains(value));
        prop_assert_eq!(short, expected.map(|value| (value as u32, &b"rest"[..])));
    }
}
