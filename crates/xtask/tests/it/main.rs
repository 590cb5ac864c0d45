//! Rules of the repository as tests: the walls between crates, and the tidiness of sources, manifests and tables.
//! Each rule is a function from text to what breaks it, and is itself tested on planted violations.

#[cfg(test)]
mod repository;
#[cfg(test)]
mod source;
#[cfg(test)]
mod tidy;
#[cfg(test)]
mod walls;
