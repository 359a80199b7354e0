//! What the chart is made of: SVG elements as text, and how much room words need.
//!
//! No script, no font of its own. How wide a text gets is guessed, since only the reader's browser knows its font.

/// How wide a picture is.
pub(super) const WIDTH: f64 = 900.0;

/// How thick a bar is.
pub(super) const BAR: f64 = 9.0;

/// The size of text that has no class; [`STYLE`] has it too.
pub(super) const TEXT: f64 = 12.0;

/// The size of small text and of labels, as in [`STYLE`].
pub(super) const SMALL: f64 = 11.0;

/// Grey for the reference, a quiet blue for others, and the one colour for ours.
const STYLE: &str = "\
text{font-family:system-ui,-apple-system,'Segoe UI',Helvetica,Arial,sans-serif;font-size:12px;fill:#343a40}\
.title{font-size:20px;font-weight:600;fill:#212529}\
.heading{font-size:14px;font-weight:600;fill:#212529}\
.small{font-size:11px;fill:#6c757d}\
.label{font-size:11px;fill:#495057;font-variant-numeric:tabular-nums}\
.label.ours{font-weight:600;fill:#212529}\
.axis{font-size:10px;fill:#868e96;text-anchor:middle}\
.band{fill:#f6f7f9}\
.grid{stroke:#e3e6ea}\
.one{stroke:#868e96;stroke-dasharray:3 2}\
.bar{fill:#8ba3bd}\
.bar.reference{fill:#b4b9bf}\
.bar.ours{fill:#e8590c}\
.cut{stroke:#fff;stroke-width:2}\
.must{stroke:#212529;stroke-width:2}\
.goal{fill:#fff;stroke:#212529;stroke-width:1.3}";

/// A whole picture on a white ground, so that it is readable on dark pages too.
pub(super) fn picture(title: &str, height: f64, body: &str) -> String {
    let title = escape(title);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
         viewBox=\"0 0 {WIDTH} {height}\" role=\"img\">\n<title>{title}</title>\n<style>{STYLE}</style>\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" rx=\"10\" fill=\"#fff\"/>\n{body}</svg>\n"
    )
}

/// A line of text; `y` is its base line.
pub(super) fn text(class: &str, x: f64, y: f64, text: &str) -> String {
    let text = escape(text);
    format!("<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{text}</text>\n")
}

/// The ground below a group of bars.
pub(super) fn band(margin: f64, top: f64, bottom: f64) -> String {
    let (width, height) = (WIDTH - 2.0 * margin, bottom - top);
    format!(
        "<rect class=\"band\" x=\"{margin}\" y=\"{top:.1}\" width=\"{width}\" height=\"{height:.1}\"/>\n"
    )
}

/// A line from above to below.
pub(super) fn line(class: &str, x: f64, top: f64, bottom: f64) -> String {
    format!("<path class=\"{class}\" d=\"M{x:.1} {top:.1}V{bottom:.1}\"/>\n")
}

/// A bar of a contender of that class.
pub(super) fn bar(class: &str, left: f64, right: f64, top: f64) -> String {
    let width = right - left;
    format!(
        "<rect class=\"bar {class}\" x=\"{left:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{BAR}\" rx=\"1.5\"/>\n"
    )
}

/// A bar for which there is not enough room.
pub(super) fn cut_bar(class: &str, left: f64, right: f64, top: f64) -> String {
    let (shoulder, middle, bottom) = (right - 5.0, top + BAR / 2.0, top + BAR);
    let slash = |right: f64| {
        let (left, low, high) = (right - 6.0, bottom + 1.0, top - 1.0);
        format!("M{left:.1} {low:.1}L{right:.1} {high:.1}")
    };
    format!(
        "<path class=\"bar {class}\" d=\"M{left:.1} {top:.1}H{shoulder:.1}L{right:.1} {middle:.1}L{shoulder:.1} \
         {bottom:.1}H{left:.1}z\"/><path class=\"cut\" d=\"{}{}\"/>\n",
        slash(right - 21.0),
        slash(right - 15.0)
    )
}

/// The mark that a bar must not pass.
pub(super) fn must(x: f64, top: f64) -> String {
    line("must", x, top - 1.5, top + BAR + 1.5)
}

/// The mark that a bar should not pass.
pub(super) fn goal(x: f64, top: f64) -> String {
    let top = top + BAR / 2.0 - 4.0;
    format!("<path class=\"goal\" d=\"M{x:.1} {top:.1}l4 4l-4 4l-4 -4z\"/>\n")
}

/// Text in lines no wider than that, words whole.
pub(super) fn wrap(text: &str, width: f64, size: f64) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if wide(&format!("{line} {word}"), size) <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// How wide words are, in wide fonts.
pub(super) fn wide(text: &str, size: f64) -> f64 {
    text.chars().count() as f64 * size * 0.56
}

/// How wide a label is, in wide fonts: bold digits take more than letters.
pub(super) fn label_wide(text: &str) -> f64 {
    wide(text, SMALL * 1.15)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::text;
    use super::wrap;

    #[test]
    fn text_is_never_markup() {
        assert_eq!(
            text("small", 1.0, 2.0, "<b>&amp;"),
            "<text class=\"small\" x=\"1.0\" y=\"2.0\">&lt;b&gt;&amp;amp;</text>\n"
        );
    }

    #[test]
    fn lines_break_between_words() {
        let lines = wrap("one two three extraordinarily  four", 70.0, 10.0);
        assert_eq!(lines, ["one two", "three", "extraordinarily", "four"]);
    }
}
