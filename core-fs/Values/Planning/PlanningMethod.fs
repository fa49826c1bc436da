namespace ValueFlow.Core.Values

open ValueFlow.Core.Foundations

/// A planning method by name: what a caller chooses from.
[<RequireQualifiedAccess>]
type PlanningMethod =
    /// Plain sweeps: <c>ValueIteration</c>.
    | ValueIteration
    /// Sweeps in which later states see new values: <c>GaussSeidel</c>.
    | GaussSeidel
    /// Improve and evaluate: <c>PolicyIteration.solve</c>.
    | PolicyIteration
    /// Improve and back up so many times: <c>PolicyIteration.solveModified</c>.
    | ModifiedPolicyIteration of backups: int

/// Runs planning methods by name.
[<RequireQualifiedAccess>]
module PlanningMethod =

    let private run checkpoint (method: PlanningMethod) given (options: RunOptions) (bellman: Bellman) : Solution =
        match method with
        | PlanningMethod.ValueIteration -> ValueIteration.solveKept checkpoint given options bellman
        | PlanningMethod.GaussSeidel -> GaussSeidel.solveKept checkpoint given options bellman
        | PlanningMethod.PolicyIteration -> PolicyIteration.solveKept checkpoint given options bellman
        | PlanningMethod.ModifiedPolicyIteration backups -> PolicyIteration.solveModifiedKept checkpoint backups given options bellman

    /// Solves from zero. An ArgumentException says what the method lacks in the operator.
    let solve (method: PlanningMethod) (options: RunOptions) (bellman: Bellman) : Solution = run ValueNone method ValueNone options bellman

    /// Solves from the caller's values, which it leaves as they are.
    let solveFrom (method: PlanningMethod) (start: float[]) (options: RunOptions) (bellman: Bellman) : Solution =
        run ValueNone method (ValueSome start) options bellman

    /// Solves with a checkpoint: a run that was stopped, or killed at any moment, goes on from the file where it stood, and ends with the answer of a run that was never stopped, bit for
    /// bit. The file is left when the run is done. A file of another method, model or operator, and a damaged one, is refused with an InvalidDataException; the tolerance and
    /// the budget may be others.
    let solveKept (checkpoint: PlanningCheckpointOptions) (method: PlanningMethod) (options: RunOptions) (bellman: Bellman) : Solution =
        run (ValueSome checkpoint) method ValueNone options bellman
