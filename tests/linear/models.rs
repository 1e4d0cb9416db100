//! What locks, sequences and idempotency keys should do, with leases that do not end.

use crate::checker::Model;

/// A fencing token. It is not known where the answer that tells it was lost.
type Token = Option<i64>;

/// `LOCK.*`
pub(crate) struct Lock;

#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct LockState {
    /// Owner, token, and how often it was acquired.
    held: Option<(usize, Token, i64)>,
    /// The largest token that is known.
    last: i64,
}

#[derive(Debug, Clone)]
pub(crate) enum LockAsked {
    Acquire(usize),
    Release(usize),
    Get,
    Delete,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum LockAnswer {
    Granted(i64, i64),
    Refused,
    /// How often it is still held.
    Left(i64),
    NotOwner,
    /// 0 for a free one.
    Token(i64),
    Deleted(bool),
}

impl LockState {
    /// The holder's token is this one.
    fn with_token(&self, told: i64) -> Option<Self> {
        let (owner, token, holds) = self.held?;
        match token {
            Some(known) => (known == told).then(|| self.clone()),
            None => {
                (told > self.last).then_some(LockState { held: Some((owner, Some(told), holds)), last: told })
            }
        }
    }

    fn holding(&self, held: Option<(usize, Token, i64)>) -> Self {
        LockState { held, last: self.last }
    }
}

impl Model for Lock {
    type State = LockState;
    type Asked = LockAsked;
    type Answer = LockAnswer;

    fn start() -> LockState {
        LockState::default()
    }

    fn step(state: &LockState, asked: &LockAsked, answer: Option<&LockAnswer>) -> Option<LockState> {
        use LockAnswer::{Deleted, Granted, Left, NotOwner, Refused};
        match (asked, state.held, answer) {
            (LockAsked::Acquire(owner), None, None) => Some(state.holding(Some((*owner, None, 1)))),
            (LockAsked::Acquire(owner), None, Some(Granted(token, 1))) => (*token > state.last)
                .then_some(LockState { held: Some((*owner, Some(*token), 1)), last: *token }),
            (LockAsked::Acquire(owner), Some((holder, token, holds)), None) if *owner == holder => {
                Some(state.holding(Some((holder, token, holds + 1))))
            }
            (LockAsked::Acquire(owner), Some((holder, _, holds)), Some(Granted(token, told)))
                if *owner == holder && *told == holds + 1 =>
            {
                let state = state.with_token(*token)?;
                Some(state.holding(Some((holder, Some(*token), *told))))
            }
            (LockAsked::Acquire(owner), Some((holder, ..)), None | Some(Refused)) => {
                (*owner != holder).then(|| state.clone())
            }
            (LockAsked::Release(owner), Some((holder, token, holds)), answer) if *owner == holder => {
                let left = holds - 1;
                let told = answer.is_none_or(|answer| *answer == Left(left));
                told.then(|| state.holding((left > 0).then_some((holder, token, left))))
            }
            (LockAsked::Release(_), _, None | Some(NotOwner)) | (LockAsked::Get, _, None) => {
                Some(state.clone())
            }
            (LockAsked::Get, None, Some(LockAnswer::Token(0))) => Some(state.clone()),
            (LockAsked::Get, Some(_), Some(LockAnswer::Token(token))) => state.with_token(*token),
            (LockAsked::Delete, held, answer) => {
                let told = answer.is_none_or(|answer| *answer == Deleted(held.is_some()));
                told.then(|| state.holding(None))
            }
            _ => None,
        }
    }
}

/// `IDEM.*`
pub(crate) struct Idem;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Request {
    Unknown,
    Pending(Token),
    Done(u64),
}

#[derive(Debug, Clone)]
pub(crate) enum IdemAsked {
    Begin,
    Complete(i64, u64),
    Fail(i64),
    Delete,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum IdemAnswer {
    New(i64),
    Pending,
    Done(u64),
    Ok,
    Stale,
    Changed(bool),
}

impl Model for Idem {
    /// How far the request is, and the largest token that is known.
    type State = (Request, i64);
    type Asked = IdemAsked;
    type Answer = IdemAnswer;

    fn start() -> (Request, i64) {
        (Request::Unknown, 0)
    }

    fn step(
        (request, last): &Self::State,
        asked: &IdemAsked,
        answer: Option<&IdemAnswer>,
    ) -> Option<Self::State> {
        let same = || (request.clone(), *last);
        let is_run = |token: i64| *request == Request::Pending(Some(token));
        match (asked, answer) {
            (IdemAsked::Begin, None) if *request == Request::Unknown => Some((Request::Pending(None), *last)),
            (IdemAsked::Begin, Some(IdemAnswer::New(token))) => (*request == Request::Unknown
                && token > last)
                .then_some((Request::Pending(Some(*token)), *token)),
            (IdemAsked::Begin, Some(IdemAnswer::Pending)) => {
                matches!(request, Request::Pending(_)).then(same)
            }
            (IdemAsked::Begin, Some(IdemAnswer::Done(told))) => (*request == Request::Done(*told)).then(same),
            (IdemAsked::Begin, None) => Some(same()),
            (IdemAsked::Complete(token, response), None | Some(IdemAnswer::Ok)) if is_run(*token) => {
                Some((Request::Done(*response), *last))
            }
            (IdemAsked::Complete(token, _), None | Some(IdemAnswer::Stale)) => (!is_run(*token)).then(same),
            (IdemAsked::Fail(token), answer) => {
                let told = answer.is_none_or(|answer| *answer == IdemAnswer::Changed(is_run(*token)));
                let after = if is_run(*token) { Request::Unknown } else { request.clone() };
                told.then_some((after, *last))
            }
            (IdemAsked::Delete, answer) => {
                let is_there = *request != Request::Unknown;
                let told = answer.is_none_or(|answer| *answer == IdemAnswer::Changed(is_there));
                told.then_some((Request::Unknown, *last))
            }
            _ => None,
        }
    }
}

/// `SEQ.NEXT`
pub(crate) struct Sequence;

#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Given {
    last: i64,
    /// Requests with a name, and what they got.
    named: Vec<(u64, i64)>,
}

impl Model for Sequence {
    type State = Given;
    /// The name of the request, if it has one.
    type Asked = Option<u64>;
    type Answer = i64;

    fn start() -> Given {
        Given::default()
    }

    fn step(state: &Given, asked: &Option<u64>, answer: Option<&i64>) -> Option<Given> {
        let known = asked.and_then(|name| state.named.iter().find(|(known, _)| *known == name));
        if let Some((_, given)) = known {
            return answer.is_none_or(|answer| answer == given).then(|| state.clone());
        }
        let next = state.last + 1;
        if answer.is_some_and(|answer| *answer != next) {
            return None;
        }
        let mut after = Given { last: next, named: state.named.clone() };
        after.named.extend(asked.map(|name| (name, next)));
        Some(after)
    }
}
