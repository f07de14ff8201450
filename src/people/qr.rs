//! A text as a picture that a telephone reads.

use std::fmt::Write as _;

use qrcodegen::{QrCode, QrCodeEcc};

/// White around the code, in modules: the specification asks for four.
const QUIET: i32 = 4;

/// `text` as a QR code in SVG, without style or script; `None` when it is too long for one.
pub fn qr_code(text: &str) -> Option<String> {
    let code = QrCode::encode_text(text, QrCodeEcc::Medium).ok()?;
    let size = code.size();
    let mut path = String::new();
    for y in 0..size {
        for x in (0..size).filter(|x| code.get_module(*x, y)) {
            write!(path, "M{} {}h1v1h-1z", x + QUIET, y + QUIET).ok()?;
        }
    }
    let whole = size + 2 * QUIET;
    Some(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {whole} {whole}\" \
         shape-rendering=\"crispEdges\"><path fill=\"#fff\" d=\"M0 0h{whole}v{whole}H0z\"/>\
         <path fill=\"#000\" d=\"{path}\"/></svg>"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_picture_and_nothing_else_and_bounded() {
        let svg = qr_code("otpauth://totp/a:b?secret=\"><script>").unwrap();
        for part in ["script", "style", "href", "on"] {
            assert!(!svg.contains(part), "{part}");
        }
        assert!(svg.starts_with("<svg") && svg.ends_with("</svg>"));
        assert!(qr_code(&"a".repeat(10_000)).is_none());
    }
}
