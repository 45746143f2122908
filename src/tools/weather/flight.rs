//! One question at a time per city: whoever asks meanwhile gets the same answer.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use tokio::sync::watch;

use super::Observation;
use crate::tools::ToolError;

/// Most cities that are asked for at once.
pub(super) const MAX_FLIGHTS: usize = 64;

/// How a question ended.
pub(super) type Outcome = Result<Observation, ToolError>;
/// Where the outcome will appear. Closed without one if the question's task died.
pub(super) type Waiting = watch::Receiver<Option<Outcome>>;

/// The questions under way, by city.
#[derive(Debug, Default)]
pub(super) struct Flights(Mutex<HashMap<Arc<str>, Waiting>>);

/// What to do about a city.
pub(super) enum Boarding {
    /// Somebody asks already: wait.
    Join(Waiting),
    /// Nobody does: ask, then [`Flight::land`].
    Lead(Flight, Waiting),
    /// It was answered a moment ago.
    Landed(Outcome),
    /// Too many cities are asked for at once.
    Full,
}

impl Flights {
    /// Joins the question for `city` or starts it.
    ///
    /// `landed` is looked at under the lock: an answer is stored before its flight is removed, so
    /// whoever finds no flight here finds the answer there.
    pub(super) fn board(
        self: &Arc<Self>,
        city: &Arc<str>,
        landed: impl FnOnce() -> Option<Outcome>,
    ) -> Boarding {
        let mut flights = self.0.lock();
        if let Some(waiting) = flights.get(city) {
            return Boarding::Join(waiting.clone());
        }
        if let Some(outcome) = landed() {
            return Boarding::Landed(outcome);
        }
        if flights.len() >= MAX_FLIGHTS {
            return Boarding::Full;
        }
        let (tell, waiting) = watch::channel(None);
        flights.insert(Arc::clone(city), waiting.clone());
        let flight = Flight { flights: Arc::clone(self), city: Arc::clone(city), tell, outcome: None };
        Boarding::Lead(flight, waiting)
    }
}

/// A question under way; dropping it ends the question, answered or not.
#[derive(Debug)]
pub(super) struct Flight {
    flights: Arc<Flights>,
    city: Arc<str>,
    tell: watch::Sender<Option<Outcome>>,
    outcome: Option<Outcome>,
}

impl Flight {
    /// Tells everybody who waits.
    pub(super) fn land(mut self, outcome: Outcome) {
        self.outcome = Some(outcome);
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        // First out of the table, then told: whoever has been told and asks again starts anew.
        self.flights.0.lock().remove(&self.city);
        self.tell.send_replace(self.outcome.take());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_question_whose_task_dies_frees_its_city_and_leaves_nobody_waiting() {
        let flights = Arc::new(Flights::default());
        let city: Arc<str> = "oslo".into();
        let Boarding::Lead(flight, mut leading) = flights.board(&city, || None) else {
            panic!("not the first")
        };
        let Boarding::Join(mut joined) = flights.board(&city, || None) else { panic!("not the second") };
        drop(flight);
        assert!(leading.wait_for(Option::is_some).await.is_err());
        assert!(joined.wait_for(Option::is_some).await.is_err());
        assert!(matches!(flights.board(&city, || None), Boarding::Lead(..)));
    }

    #[tokio::test]
    async fn an_answer_stored_meanwhile_is_found_before_anybody_asks_again() {
        let flights = Arc::new(Flights::default());
        let gone = Err(ToolError::NotFound("x".into()));
        let boarding = flights.board(&"oslo".into(), || Some(gone.clone()));
        assert!(matches!(boarding, Boarding::Landed(outcome) if outcome == gone));
    }
}
