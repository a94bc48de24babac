//! Fields as they stand in a line of the log.
//!
//! Names, quotes and colours as the layer's own, but no value has a control character or the end of a line in it,
//! whoever it came from, and all values of an event together are no longer than a line may be.

use std::fmt::{self, Debug, Write};
use tracing::field::{Field, Visit};
use tracing_subscriber::{
    field::RecordFields,
    fmt::{FormatFields, format::Writer},
};

/// All values of one event, bytes; as much again for each span around it.
const VALUES_BYTES_MAX: usize = 16 * 1024;
/// Stands where values were cut.
const CUT: &str = "...";

/// Writes fields.
#[derive(Debug)]
pub(super) struct Fields;

impl<'w> FormatFields<'w> for Fields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'w>, fields: R) -> fmt::Result {
        let mut line = Line {
            writer,
            left: Some(VALUES_BYTES_MAX),
            is_empty: true,
            result: Ok(()),
        };
        fields.record(&mut line);
        line.result
    }
}

struct Line<'w> {
    writer: Writer<'w>,
    /// What values may still take; nothing once they were cut.
    left: Option<usize>,
    is_empty: bool,
    result: fmt::Result,
}

impl Line<'_> {
    fn field(&mut self, field: &Field, value: fmt::Arguments<'_>) -> fmt::Result {
        if !self.is_empty {
            self.writer.write_char(' ')?;
        }
        self.is_empty = false;
        match field.name().trim_start_matches("r#") {
            "message" => {}
            // Italic, and a dim sign.
            name if self.writer.has_ansi_escapes() => {
                write!(self.writer, "\x1b[3m{name}\x1b[0m\x1b[2m=\x1b[0m")?;
            }
            name => write!(self.writer, "{name}=")?,
        }
        let mut plain = Plain {
            to: &mut self.writer,
            left: &mut self.left,
        };
        plain.write_fmt(value)
    }
}

impl Visit for Line<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.record_debug(field, &format_args!("{value}"));
        } else {
            self.record_debug(field, &value);
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if self.result.is_ok() {
            self.result = self.field(field, format_args!("{value:?}"));
        }
    }
}

/// Takes any text and passes on what can stand in a line, as far as there is room.
struct Plain<'a, 'w> {
    to: &'a mut Writer<'w>,
    left: &'a mut Option<usize>,
}

impl Plain<'_, '_> {
    /// What fits; once something does not, nothing does.
    fn pass(&mut self, text: &str) -> fmt::Result {
        let Some(left) = *self.left else {
            return Ok(());
        };
        *self.left = left.checked_sub(text.len());
        if self.left.is_some() {
            return self.to.write_str(text);
        }
        self.to.write_str(&text[..text.floor_char_boundary(left)])?;
        self.to.write_str(CUT)
    }
}

impl Write for Plain<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some((at, odd)) = rest.char_indices().find(|(_, c)| !is_plain(*c)) {
            self.pass(&rest[..at])?;
            self.pass(&odd.escape_default().to_string())?;
            rest = &rest[at + odd.len_utf8()..];
        }
        self.pass(rest)
    }
}

/// Neither steers a terminal nor ends a line for anybody who reads lines.
fn is_plain(c: char) -> bool {
    !c.is_control() && !matches!(c, '\u{2028}' | '\u{2029}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use parking_lot::Mutex;
    use std::{io, sync::Arc};
    use tracing_subscriber::{fmt::MakeWriter, layer::SubscriberExt as _};

    /// What was written.
    #[derive(Debug, Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl MakeWriter<'_> for Kept {
        type Writer = Self;

        fn make_writer(&self) -> Self {
            self.clone()
        }
    }

    /// What is logged meanwhile.
    fn logged(ansi: bool, log: impl FnOnce()) -> String {
        let kept = Kept::default();
        let layer = tracing_subscriber::fmt::layer()
            .fmt_fields(Fields)
            .with_writer(kept.clone())
            .with_ansi(ansi)
            .without_time()
            .with_target(false);
        let subscriber = tracing_subscriber::registry().with(layer);
        tracing::subscriber::with_default(subscriber, log);
        let bytes = kept.0.lock().clone();
        String::from_utf8(bytes).unwrap()
    }

    const FORGED: &str = "x\r\n2026 ERROR \u{1b}[31mred\u{7}\u{85}\u{9b}\u{2028}\t\0\u{7f}é";
    const SHOWN: &str =
        "x\\r\\n2026 ERROR \\u{1b}[31mred\\u{7}\\u{85}\\u{9b}\\u{2028}\\t\\u{0}\\u{7f}é";

    #[test]
    fn nothing_that_others_say_makes_a_line_of_its_own() {
        let error = io::Error::other(FORGED);
        let text = logged(false, || {
            let span = tracing::info_span!("request", peer = %FORGED);
            let _in_it = span.enter();
            tracing::warn!(code = 5, message = %FORGED, "request failed");
            tracing::warn!(%error, "{FORGED}");
            tracing::warn!(error = &error as &dyn std::error::Error, "failed");
        });
        let lines: Vec<&str> = text.lines().collect();
        let begin = format!(" WARN request{{peer={SHOWN}}}: ");
        assert_eq!(
            lines,
            [
                format!("{begin}request failed code=5 {SHOWN}"),
                format!("{begin}{SHOWN} error={SHOWN}"),
                format!("{begin}failed error={SHOWN}"),
            ]
        );
    }

    #[test]
    fn what_is_harmless_stays_as_it_was() {
        let names = ["a\nb", "c"];
        let log = || tracing::info!(name = "é\"x", ?names, r#type = true, "it's \\n done");
        let text = logged(false, log);
        assert_eq!(
            text,
            " INFO it's \\n done name=\"é\\\"x\" names=[\"a\\nb\", \"c\"] type=true\n"
        );
        let coloured = logged(true, || tracing::info!(n = 1, "done"));
        assert!(
            coloured.ends_with("done \u{1b}[3mn\u{1b}[0m\u{1b}[2m=\u{1b}[0m1\n"),
            "{coloured:?}"
        );
    }

    #[test]
    fn a_line_has_an_end() {
        let long = "é\n".repeat(VALUES_BYTES_MAX);
        let text = logged(false, || tracing::info!(a = %long, b = %long, "done"));
        assert_eq!(text.lines().count(), 1);
        assert!(text.ends_with("... b=\n"), "{}", &text[text.len() - 20..]);
        assert!(text.len() < VALUES_BYTES_MAX + 64, "{}", text.len());
    }
}
