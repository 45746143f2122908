//! A large answer, handed out in portions: whatever is kept for its sake is kept until the last one is asked for.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use actix_web::body::{BodySize, MessageBody};
use bytes::Bytes;

/// As much as actix-http holds ready for a client: the next portion is asked for when that has been taken.
const PORTION: usize = 32 * 1024;

/// An answer's body, and something that lives as long as it.
#[derive(Debug)]
pub struct Portions<K> {
    left: Bytes,
    _kept: K,
}

impl<K> Portions<K> {
    /// All of `bytes`.
    pub fn of(bytes: Vec<u8>, kept: K) -> Self {
        Self { left: bytes.into(), _kept: kept }
    }
}

impl<K: Unpin> MessageBody for Portions<K> {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.left.len() as u64)
    }

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, Infallible>>> {
        let left = &mut self.get_mut().left;
        if left.is_empty() {
            return Poll::Ready(None);
        }
        Poll::Ready(Some(Ok(left.split_to(left.len().min(PORTION)))))
    }
}

#[cfg(test)]
mod tests {
    use std::{rc::Rc, task::Waker};

    use super::*;

    #[test]
    fn all_of_it_comes_in_portions_and_what_is_kept_goes_with_the_body() {
        let kept = Rc::new(());
        let text: Vec<u8> = (0..PORTION * 2 + 1).map(|at| at.to_le_bytes()[0]).collect();
        let mut body = Portions::of(text.clone(), Rc::clone(&kept));
        assert_eq!(body.size(), BodySize::Sized(text.len() as u64));
        let (mut context, mut told) = (Context::from_waker(Waker::noop()), Vec::new());
        while let Poll::Ready(Some(Ok(portion))) = Pin::new(&mut body).poll_next(&mut context) {
            assert!(portion.len() <= PORTION && Rc::strong_count(&kept) == 2);
            told.extend_from_slice(&portion);
        }
        assert!(told == text);
        drop(body);
        assert_eq!(Rc::strong_count(&kept), 1);
    }
}
