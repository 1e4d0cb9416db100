//! The functions of one thread: an interpreter in which the libraries it has called were run.
//!
//! A library is run here when one of its functions is called for the first time, and again when it was replaced. What
//! its code keeps in local variables belongs to this thread.

use super::{Declared, Library, Set, load};
use crate::script::{Permits, api, libs};
use crate::shared::Shared;
use hashbrown::HashMap;
use std::sync::Arc;
use tidegate_commands::model::Error;
use tidegate_lua::{Compiled, State};

/// How long the code of a library may run when a thread loads it, in milliseconds. It is known to take less than
/// `FUNCTION LOAD` allows, but the thread may not have a core of its own now.
const LOAD_MS_MAX: i64 = 5000;

/// A function that is called.
#[derive(Debug, Clone)]
pub struct Callee {
    library: Arc<Library>,
    /// Which of the library's functions it is.
    index: usize,
}

impl Callee {
    pub(super) fn new(library: Arc<Library>, index: usize) -> Self {
        Callee { library, index }
    }

    /// What its library declared.
    pub fn declared(&self) -> &Declared {
        &self.library.functions[self.index]
    }

    /// What it may do.
    pub fn permits(&self) -> Permits {
        self.declared().flags.permits()
    }
}

/// The functions of one thread.
#[derive(Debug, Default)]
pub struct Functions {
    /// The libraries as this thread last saw them, and which version that was.
    set: Arc<Set>,
    version: u64,
    /// Made when the first function is called.
    interpreter: Option<Interpreter>,
}

/// An interpreter, and what was loaded into it.
#[derive(Debug)]
struct Interpreter {
    state: State,
    /// By name: a library, and its functions in the order it declared them.
    libraries: HashMap<Vec<u8>, (Arc<Library>, Vec<Compiled>), foldhash::fast::RandomState>,
}

impl Interpreter {
    fn new() -> Self {
        let state = load::interpreter(|frame| {
            libs::open(frame)?;
            api::open(frame, api::Users::Functions)
        });
        Interpreter { state, libraries: HashMap::default() }
    }

    /// Forgets the libraries that are not in `set` any more.
    fn keep(&mut self, set: &Set) {
        let gone = self.libraries.extract_if(|name, (library, _)| {
            set.libraries.get(name).is_none_or(|present| !Arc::ptr_eq(present, library))
        });
        let gone: Vec<Compiled> = gone.flat_map(|(_, (_, functions))| functions).collect();
        if !gone.is_empty() {
            for function in gone {
                self.state.forget(function);
            }
            self.state.collect();
        }
    }

    /// Runs the code of a library, whose functions can be called from then on.
    fn load(&mut self, library: &Arc<Library>) -> Result<(), Error> {
        let mut registered = load::run(&mut self.state, library.source(), LOAD_MS_MAX)?;
        let mut functions = Vec::with_capacity(library.functions.len());
        for declared in &library.functions {
            let Some(at) = registered.iter().position(|(other, _)| other.name == declared.name) else {
                break;
            };
            functions.push(registered.swap_remove(at).1);
        }
        let is_whole = functions.len() == library.functions.len();
        let mut useless: Vec<Compiled> = registered.into_iter().map(|(_, function)| function).collect();
        if is_whole {
            self.libraries.insert(library.name.clone(), (Arc::clone(library), functions));
        } else {
            useless.append(&mut functions);
        }
        for function in useless {
            self.state.forget(function);
        }
        // What a library registers is up to its code, which may depend on anything.
        if is_whole { Ok(()) } else { Err(Error::new("ERR Function not found")) }
    }
}

impl Functions {
    /// The function of this name, in whatever case.
    pub fn find(&mut self, shared: &Shared, name: &[u8]) -> Option<Callee> {
        self.keep_up(shared);
        self.set.callee(name)
    }

    /// Forgets the libraries that are gone.
    pub fn keep_up(&mut self, shared: &Shared) {
        let version = shared.libraries.version();
        if self.version != version {
            (self.set, self.version) = (shared.libraries.get(), version);
            match &mut self.interpreter {
                Some(_) if self.set.functions_len() == 0 => self.interpreter = None,
                Some(interpreter) => interpreter.keep(&self.set),
                None => {}
            }
        }
    }

    /// Makes sure that a function can be called. The library's code may use `limit` bytes.
    pub fn prepare(&mut self, callee: &Callee, limit: usize) -> Result<(), Error> {
        let interpreter = self.interpreter.get_or_insert_with(Interpreter::new);
        match interpreter.libraries.get(&callee.library.name) {
            Some((present, _)) if Arc::ptr_eq(present, &callee.library) => Ok(()),
            _ => {
                interpreter.state.set_limit(limit);
                interpreter.load(&callee.library)
            }
        }
    }

    /// The interpreter, and the function that was prepared.
    pub(in crate::script) fn parts(&mut self, callee: &Callee) -> Option<(&mut State, &Compiled)> {
        let interpreter = self.interpreter.as_mut()?;
        let (library, functions) = interpreter.libraries.get(&callee.library.name)?;
        let function = functions.get(callee.index)?;
        Arc::ptr_eq(library, &callee.library).then_some((&mut interpreter.state, function))
    }

    /// A function has used up its memory: what libraries keep may be what takes it. They are loaded anew, as none could
    /// be called otherwise.
    pub(in crate::script) fn start_over(&mut self) {
        self.interpreter = None;
    }

    /// Bytes of the interpreter.
    pub fn bytes(&self) -> usize {
        self.interpreter.as_ref().map_or(0, |interpreter| interpreter.state.used())
    }
}
