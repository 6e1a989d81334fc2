//! Models, checked by loom over all interleavings within bounds: `scripts/models`. In the order in which ring mode
//! leans on them: change of mode, ring, tokens, turn. `docs/rings.md` says what each shows, and which broken rule
//! makes it fail.

pub(crate) mod life;

#[cfg(test)]
mod mode;
#[cfg(test)]
mod pair;
#[cfg(test)]
mod ring;
#[cfg(test)]
mod sleep;
#[cfg(test)]
mod token;
#[cfg(test)]
mod turn;
