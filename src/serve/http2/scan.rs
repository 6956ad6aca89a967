//! Frame headers before `h2` sees the frames (RFC 9113, 4.1): what advances nothing is counted.
//!
//! Frames cost their reader more than their sender (RFC 9113, 10.5). The `h2` crate limits some kinds of them; here
//! stands one limit for all: a connection has a budget, each frame that asks for work and advances no request takes one
//! of it, and what the gateway has sent or answered gives some back.

/// The most frames without use in a row.
const BUDGET: u32 = 48;
/// The preface of a client, before its first frame (RFC 9113, 3.4).
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// How often the priority of a stream may change at once: browsers put all images anew when a page is laid out.
const PRIORITIES: u32 = 4;
/// Bytes of a frame's header.
const HEADER: usize = 9;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PUSH_PROMISE: u8 = 5;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
/// RFC 9218, 7.1.
const PRIORITY_UPDATE: u8 = 16;

const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;

/// Follows the frames of one connection.
#[derive(Debug)]
pub struct Scan {
    /// Bytes of the preface that are to come.
    preface: usize,
    header: [u8; HEADER],
    /// Bytes of the header that have come.
    have: usize,
    /// Bytes of the payload that are to come.
    payload: usize,
    /// The frame under way carries data.
    data: bool,
    /// A header block has begun and not ended.
    block: bool,
    settings: bool,
    /// Whole frames.
    frames: u64,
    left: u32,
    /// What the gateway has sent gives a client reason to acknowledge and to measure.
    earned: u32,
    /// Streams that have been open for a while may be given up at once: a closed page does that.
    resets: u32,
    /// And so are their priorities changed.
    priorities: u32,
    /// When `left` was last filled.
    tick: u64,
}

/// When something is counted.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// Tenths of a second since some time.
    pub tick: u64,
    /// Streams that were open before these bytes came.
    pub open: u32,
}

/// The connection has sent more frames without use than anybody needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flood;

impl Scan {
    /// At the begin of a connection.
    pub fn new() -> Scan {
        Scan {
            preface: PREFACE.len(),
            header: [0; HEADER],
            have: 0,
            payload: 0,
            data: false,
            block: false,
            settings: false,
            frames: 0,
            left: BUDGET,
            earned: 0,
            resets: 0,
            priorities: 0,
            tick: 0,
        }
    }

    /// The client has begun something that is no body, and not ended it.
    pub fn is_in_head(&self) -> bool {
        self.preface > 0 || self.block || self.have > 0 || (self.payload > 0 && !self.data)
    }

    /// Whole frames so far.
    pub fn frames(&self) -> u64 {
        self.frames
    }

    /// The client may answer what was sent with so many frames.
    pub fn earn(&mut self, frames: u32) {
        self.earned = self.earned.saturating_add(frames);
    }

    /// A request was answered.
    pub fn answered(&mut self) {
        self.left = self.left.saturating_add(1).min(BUDGET);
    }

    /// Time gives back, too: one for each tick. `open` streams are older than this one.
    fn at(&mut self, Moment { tick, open }: Moment) {
        if tick != self.tick {
            let passed = u32::try_from(tick.saturating_sub(self.tick)).unwrap_or(u32::MAX);
            self.left = self.left.saturating_add(passed).min(BUDGET);
            self.tick = tick;
            self.resets = open;
            self.priorities = open.saturating_mul(PRIORITIES);
        }
    }

    /// Looks at the next bytes. `now` is asked when something is counted.
    pub fn pass(&mut self, mut bytes: &[u8], now: impl Fn() -> Moment) -> Result<(), Flood> {
        let preface = self.preface.min(bytes.len());
        self.preface = self.preface.saturating_sub(preface);
        bytes = bytes.get(preface..).unwrap_or_default();
        while !bytes.is_empty() {
            if self.payload > 0 {
                let n = self.payload.min(bytes.len());
                self.payload = self.payload.saturating_sub(n);
                bytes = bytes.get(n..).unwrap_or_default();
                if self.payload == 0 {
                    self.frames = self.frames.wrapping_add(1);
                }
                continue;
            }
            let n = HEADER.saturating_sub(self.have).min(bytes.len());
            let (part, rest) = bytes.split_at_checked(n).unwrap_or((bytes, &[]));
            if let Some(place) = self.header.get_mut(self.have..self.have.saturating_add(n)) {
                place.copy_from_slice(part);
            }
            self.have = self.have.saturating_add(n);
            bytes = rest;
            if self.have == HEADER {
                self.have = 0;
                self.frame(&now)?;
            }
        }
        Ok(())
    }

    /// A frame's header is there.
    fn frame(&mut self, now: impl Fn() -> Moment) -> Result<(), Flood> {
        let [a, b, c, kind, flags, ..] = self.header;
        self.payload = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
        self.data = kind == DATA;
        if self.payload == 0 {
            self.frames = self.frames.wrapping_add(1);
        }
        match kind {
            DATA if flags & END_STREAM != 0 => return Ok(()),
            // There may be nothing but padding.
            DATA if self.payload > if flags & PADDED != 0 { 256 } else { 0 } => return Ok(()),
            HEADERS => {
                self.block = flags & END_HEADERS == 0;
                return Ok(());
            }
            CONTINUATION => self.block &= flags & END_HEADERS == 0,
            SETTINGS if flags & ACK == 0 && !self.settings => {
                self.settings = true;
                return Ok(());
            }
            SETTINGS if flags & ACK != 0 => {}
            // `h2` ends the connection.
            PUSH_PROMISE => return Ok(()),
            PING | WINDOW_UPDATE if self.earned > 0 => {
                self.earned = self.earned.saturating_sub(1);
                return Ok(());
            }
            _ => {}
        }
        self.at(now());
        if kind == RST_STREAM && self.resets > 0 {
            self.resets = self.resets.saturating_sub(1);
            return Ok(());
        }
        if matches!(kind, PRIORITY | PRIORITY_UPDATE) && self.priorities > 0 {
            self.priorities = self.priorities.saturating_sub(1);
            return Ok(());
        }
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => Err(Flood),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&length[1..], &[kind, flags, 0, 0, 0, 1], payload].concat()
    }

    fn at(scan: &mut Scan, bytes: &[u8], tick: u64, open: u32) -> Result<(), Flood> {
        scan.pass(bytes, || Moment { tick, open })
    }

    fn pass(scan: &mut Scan, bytes: &[u8]) -> Result<(), Flood> {
        at(scan, bytes, 0, 0)
    }

    /// How many of them pass in a row.
    fn passes(scan: &mut Scan, frames: &[u8]) -> usize {
        (0..1000).take_while(|_| pass(scan, frames).is_ok()).count()
    }

    fn begun() -> Scan {
        let mut scan = Scan::new();
        pass(&mut scan, PREFACE).unwrap();
        pass(&mut scan, &frame(SETTINGS, 0, &[])).unwrap();
        scan
    }

    #[test]
    fn what_advances_nothing_ends_within_a_hundred_frames() {
        let headers = frame(HEADERS, END_HEADERS | END_STREAM, b"x");
        for flood in [
            frame(PING, 0, &[0; 8]),
            frame(PING, ACK, &[0; 8]),
            frame(SETTINGS, 0, &[]),
            frame(SETTINGS, ACK, &[]),
            frame(PRIORITY, 0, &[0; 5]),
            frame(PRIORITY_UPDATE, 0, &[0; 5]),
            frame(WINDOW_UPDATE, 0, &[0, 0, 0, 1]),
            frame(RST_STREAM, 0, &[0; 4]),
            [headers.clone(), frame(RST_STREAM, 0, &[0; 4])].concat(),
            frame(DATA, 0, &[]),
            frame(CONTINUATION, 0, &[]),
            frame(0xfa, 0, b"grease"),
        ] {
            assert!(passes(&mut begun(), &flood) < 50, "{flood:?}");
        }
        assert_eq!(passes(&mut begun(), &headers), 1000);
        assert_eq!(passes(&mut begun(), &frame(DATA, 0, b"x")), 1000);
    }

    #[test]
    fn use_gives_back() {
        let mut scan = begun();
        for _ in 0..1000 {
            scan.earn(2);
            pass(&mut scan, &frame(WINDOW_UPDATE, 0, &[0, 0, 0, 1])).unwrap();
            pass(&mut scan, &frame(PING, 0, &[0; 8])).unwrap();
            pass(&mut scan, &frame(RST_STREAM, 0, &[0; 4])).unwrap();
            scan.answered();
        }
        // A page with many streams is closed.
        (0..200).for_each(|_| at(&mut scan, &frame(RST_STREAM, 0, &[0; 4]), 1, 200).unwrap());
        // Its images are in sight.
        (0..200).for_each(|_| at(&mut scan, &frame(PRIORITY, 0, &[0; 5]), 2, 100).unwrap());
        // Ten a second are no flood.
        for tick in 3..1000 {
            at(&mut scan, &frame(PING, 0, &[0; 8]), tick, 0).unwrap();
        }
    }

    #[test]
    fn pieces_do_not_matter() {
        let text = [
            PREFACE.to_vec(),
            frame(SETTINGS, 0, &[0; 6]),
            frame(HEADERS, 0, &[1; 20]),
            frame(CONTINUATION, END_HEADERS, &[1; 3]),
            frame(DATA, 0, &[2; 300]),
        ]
        .concat();
        for step in [1, 2, 7, 9, 10, 100] {
            let mut scan = Scan::new();
            text.chunks(step).for_each(|piece| pass(&mut scan, piece).unwrap());
            assert_eq!((scan.frames(), scan.is_in_head(), scan.left), (4, false, BUDGET - 1), "in steps of {step}");
        }
        let mut scan = Scan::new();
        assert!(scan.is_in_head());
        pass(&mut scan, &text[..30]).unwrap();
        assert!(scan.is_in_head());
        pass(&mut scan, &text[30..text.len() - 1]).unwrap();
        assert!(!scan.is_in_head());
    }
}
