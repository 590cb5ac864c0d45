//! Why a request or a row of it is not answered: a problem document, boxed because most are answered.

use kuraban_api::Problem;

/// Why not.
pub(super) type Refusal = Box<Problem>;

/// A refusal by its status, its stable code, its kind in words and this case in words.
pub(super) fn refusal(status: u16, code: &str, title: &str, detail: String) -> Refusal {
    Box::new(Problem::new(status, code, title, detail))
}
