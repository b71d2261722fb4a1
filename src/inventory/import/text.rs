//! Converts a file to UTF-8.

use std::io::{self, BufRead, BufReader, Chain, Cursor, Read};

use encoding_rs::{Decoder, DecoderResult, UTF_16BE, UTF_16LE, WINDOWS_1252};

/// The encoding of a file. A byte order mark goes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encoding {
    /// UTF-16 if the first characters look like it, else UTF-8.
    #[default]
    Auto,
    Utf8,
    Utf16Le,
    Utf16Be,
    /// Latin-1, as Windows writes it (windows-1252).
    Latin1,
}

/// Replaces what is malformed: no UTF-8 text holds this byte.
const BROKEN: u8 = 0xFF;

/// Bytes that are decoded at a time.
const PIECE: usize = 1 << 14;

/// Reads a file as UTF-8, without its byte order mark. UTF-8 itself is passed on unchecked.
pub struct Text<R> {
    source: BufReader<Chain<Cursor<Vec<u8>>, R>>,
    decoder: Option<Decoder>,
    /// Decoded text, and how much of it was consumed.
    ready: Vec<u8>,
    taken: usize,
    ended: bool,
}

impl<R: Read> Text<R> {
    /// # Errors
    /// If the source cannot be read.
    pub fn of(mut source: R, encoding: Encoding) -> io::Result<Self> {
        let mut head = Vec::with_capacity(4);
        source.by_ref().take(4).read_to_end(&mut head)?;
        let (encoding, mark) = match (&*head, encoding) {
            ([0xEF, 0xBB, 0xBF, ..], _) => (Encoding::Utf8, 3),
            ([0xFF, 0xFE, ..], _) => (Encoding::Utf16Le, 2),
            ([0xFE, 0xFF, ..], _) => (Encoding::Utf16Be, 2),
            // A header begins with a letter, which UTF-16 writes with a zero byte beside it.
            ([1..=0xFF, 0, ..], Encoding::Auto) => (Encoding::Utf16Le, 0),
            ([0, 1..=0xFF, ..], Encoding::Auto) => (Encoding::Utf16Be, 0),
            (_, encoding) => (encoding, 0),
        };
        head.drain(..mark);
        let decoded = match encoding {
            Encoding::Auto | Encoding::Utf8 => None,
            Encoding::Utf16Le => Some(UTF_16LE),
            Encoding::Utf16Be => Some(UTF_16BE),
            Encoding::Latin1 => Some(WINDOWS_1252),
        };
        Ok(Self {
            source: BufReader::new(Cursor::new(head).chain(source)),
            decoder: decoded.map(encoding_rs::Encoding::new_decoder_without_bom_handling),
            ready: Vec::new(),
            taken: 0,
            ended: false,
        })
    }

    /// The next piece of the text; empty at the end.
    ///
    /// # Errors
    /// If the source cannot be read.
    pub fn piece(&mut self) -> io::Result<&[u8]> {
        if self.decoder.is_none() {
            return self.source.fill_buf();
        }
        while self.taken == self.ready.len() && !self.ended {
            self.decode()?;
        }
        Ok(&self.ready[self.taken..])
    }

    /// Marks `count` bytes of the piece as consumed.
    pub fn take(&mut self, count: usize) {
        match self.decoder {
            None => self.source.consume(count),
            Some(_) => self.taken += count,
        }
    }

    fn decode(&mut self) -> io::Result<()> {
        let Some(decoder) = &mut self.decoder else { return Ok(()) };
        let bytes = self.source.fill_buf()?;
        self.ready.resize(PIECE, 0);
        let last = bytes.is_empty();
        let (result, read, written) = decoder.decode_to_utf8_without_replacement(bytes, &mut self.ready, last);
        self.ready.truncate(written);
        self.taken = 0;
        match result {
            DecoderResult::Malformed(..) => self.ready.push(BROKEN),
            DecoderResult::InputEmpty => self.ended = last,
            DecoderResult::OutputFull => {}
        }
        self.source.consume(read);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns one byte at a time, like a slow pipe.
    struct Slow<'a>(&'a [u8]);

    impl Read for Slow<'_> {
        fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
            let count = to.len().min(1);
            self.0.read(&mut to[..count])
        }
    }

    fn text(bytes: &[u8], encoding: Encoding) -> Vec<u8> {
        let (mut all, mut text) = (Vec::new(), Text::of(Slow(bytes), encoding).unwrap());
        loop {
            let piece = text.piece().unwrap();
            let count = piece.len();
            if count == 0 {
                return all;
            }
            all.extend_from_slice(piece);
            text.take(count);
        }
    }

    fn utf_16(text: &str, order: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(order).collect()
    }

    #[test]
    fn a_file_is_text_in_any_encoding() {
        let said = "Número;☎ 𝄞\r\n";
        let marked = format!("\u{feff}{said}");
        for bytes in [
            said.as_bytes().to_vec(),
            marked.as_bytes().to_vec(),
            utf_16(&marked, u16::to_le_bytes),
            utf_16(&marked, u16::to_be_bytes),
            utf_16(said, u16::to_le_bytes),
            utf_16(said, u16::to_be_bytes),
        ] {
            assert_eq!(String::from_utf8(text(&bytes, Encoding::Auto)).unwrap(), said, "{bytes:?}");
        }
        assert_eq!(text(b"N\xFAmero \x80", Encoding::Latin1), "Número €".as_bytes());
        assert_eq!(text(marked.as_bytes(), Encoding::Latin1), said.as_bytes(), "a mark is believed");
        let long = "é".repeat(100_000);
        assert_eq!(text(&utf_16(&long, u16::to_le_bytes), Encoding::Utf16Le), long.as_bytes());
        for short in [&b""[..], b"a", b"\xEF\xBB\xBF"] {
            assert_eq!(text(short, Encoding::Auto), short.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(short));
        }
    }

    #[test]
    fn malformed_text_stays_malformed() {
        let half = [utf_16("a", u16::to_le_bytes), vec![0x00, 0xD8], utf_16("b", u16::to_le_bytes)].concat();
        assert_eq!(text(&half, Encoding::Auto), b"a\xFFb");
        assert_eq!(text(b"a\0b", Encoding::Utf16Le), b"a\xFF");
        assert_eq!(text(b"a\xFFb", Encoding::Auto), b"a\xFFb");
    }
}
