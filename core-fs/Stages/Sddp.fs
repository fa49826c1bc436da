namespace ValueFlow.Core.Stages

open System
open System.Threading
open ValueFlow.Core.Foundations

/// How stochastic dual dynamic programming goes.
type SddpOptions =
    {
        /// Iterations: one path forward and the cuts of its states backward.
        Iterations: int
        /// Cuts that lead the paths, and are no part of the bound; for each stage those on what follows it. Empty for none.
        Guides: Cut[][]
        /// Called after every iteration with its number and the bound.
        Progress: int -> float -> unit
        /// Asked before every iteration.
        Cancellation: CancellationToken
    }

/// What stochastic dual dynamic programming finds.
type SddpResult =
    {
        /// For each stage but the last the cuts on the expected cost of what follows it.
        Cuts: Cut[][]
        /// After each iteration the bound: no policy costs less.
        Bounds: float[]
    }

    /// The last bound.
    member this.Bound = Array.last this.Bounds

/// Stochastic dual dynamic programming: V_t(y) = E min over x of c . x + V_t+1(x), from below. A path goes forward under the cuts so far; at its states each
/// stage is solved for every noise, and the averaged prices make one more cut for the stage before,
///
/// V_t(y) >= alpha + beta . y, beta = -E[B' prices], alpha = E[value] - beta . y_path.
///
/// Every cut lies below V_t everywhere, the bound rises, and for finitely many noises that are independent from stage to stage, relatively complete recourse and
/// prices of vertices it reaches the least expected cost after finitely many iterations almost surely. Pereira and Pinto 1991, "Multi-stage stochastic
/// optimization applied to energy planning"; Philpott and Guan 2008, "On the convergence of stochastic dual dynamic programming and related methods".
[<RequireQualifiedAccess>]
module Sddp =

    /// So many iterations, without guides.
    let standard (iterations: int) : SddpOptions =
        {
            Iterations = iterations
            Guides = [||]
            Progress = fun _ _ -> ()
            Cancellation = CancellationToken.None
        }

    let private requireCuts (name: string) (problem: MultistageProblem) (cuts: Cut[][]) =
        if cuts.Length <> problem.Count - 1 then
            invalidArg name $"there must be a set of cuts for each of {problem.Count - 1} stages but there are {cuts.Length}"

        cuts
        |> Array.iteri (fun t set ->
            for cut in set do
                Shape.requireLength $"{name}, stage {t}" (problem.Stage(t).State.Length) cut.Slopes.Length
                Shape.requireFinite $"{name}, stage {t}" (Array.append cut.Slopes [| cut.Intercept |]))

    // One program a stage, with cuts.
    let private programs (problem: MultistageProblem) (cuts: Cut[][]) =
        Array.init problem.Count (fun t -> new StageProgram(problem, t, (if t < cuts.Length then cuts[t] else [||])))

    let private within (programs: StageProgram[]) (work: unit -> 'a) =
        try
            work ()
        finally
            programs |> Array.iter (fun program -> (program :> IDisposable).Dispose())

    let private draw (generator: Generator) (stage: Stage) =
        Sampling.index generator (ReadOnlySpan(stage.Noises |> Array.map _.Probability))

    /// Runs it. Throws an ArgumentException for options that make no sense, an InvalidOperationException where a stage has no decision or no least cost, an
    /// OperationCanceledException if it was cancelled.
    let solve (generator: Generator) (options: SddpOptions) (problem: MultistageProblem) : SddpResult =
        if options.Iterations < 1 then
            invalidArg (nameof options) $"Iterations must be at least 1 but are {options.Iterations}"

        let guided = options.Guides.Length > 0

        if guided then
            requireCuts (nameof options) problem options.Guides

        let count = problem.Count
        let backward = programs problem [||]
        let forward = if guided then programs problem options.Guides else backward
        let found = Array.init (count - 1) (fun _ -> ResizeArray<Cut>())

        within (if guided then Array.append backward forward else backward) (fun () ->
            let bounds =
                Array.init options.Iterations (fun iteration ->
                    options.Cancellation.ThrowIfCancellationRequested()
                    let states = Array.create count problem.Start

                    for t in 0 .. count - 2 do
                        states[t + 1] <- forward[t].Solve(states[t], draw generator (problem.Stage t)).State

                    for t in count - 1 .. -1 .. 1 do
                        let struct (_, cut) = backward[t].Cut states[t]
                        found[t - 1].Add cut
                        backward[t - 1].Add cut

                        if guided then
                            forward[t - 1].Add cut

                    let struct (bound, _) = backward[0].Cut problem.Start
                    options.Progress (iteration + 1) bound
                    bound)

            { Cuts = found |> Array.map _.ToArray(); Bounds = bounds })

    /// What the first stage's programs say with these cuts: a lower bound of the least cost if they are cuts indeed, else a guess.
    let bound (cuts: Cut[][]) (problem: MultistageProblem) : float =
        requireCuts (nameof cuts) problem cuts
        let all = programs problem cuts

        within all (fun () ->
            let struct (value, _) = all[0].Cut problem.Start
            value)

    /// The expected cost of the policy that decides by these cuts, exactly: over all paths of the tree. Cuts that are none lead to a policy all the same, whose
    /// cost is not below the least one.
    let cost (cancellation: CancellationToken) (cuts: Cut[][]) (problem: MultistageProblem) : float =
        requireCuts (nameof cuts) problem cuts
        let all = programs problem cuts

        let rec expected t (state: float[]) =
            if t = problem.Count then
                0.0
            else
                cancellation.ThrowIfCancellationRequested()
                let stage = problem.Stage t
                let mutable sum = 0.0

                for noise in 0 .. stage.Noises.Length - 1 do
                    let decision = all[t].Solve(state, noise)
                    sum <- sum + stage.Noises[noise].Probability * (decision.Cost + expected (t + 1) decision.State)

                sum

        within all (fun () -> expected 0 problem.Start)

    /// For each stage but the last, cuts on what follows it at given states, made with the cuts so far: from the last stage backward, so that each is made with those
    /// that were made after it.
    let cutsAt (states: float[][]) (cuts: Cut[][]) (problem: MultistageProblem) : Cut[][] =
        requireCuts (nameof cuts) problem cuts
        let all = programs problem cuts
        let made = Array.create (problem.Count - 1) [||]

        within all (fun () ->
            for t in problem.Count - 1 .. -1 .. 1 do
                made[t - 1] <-
                    states
                    |> Array.map (fun state ->
                        let struct (_, cut) = all[t].Cut state
                        cut)

                made[t - 1] |> Array.iter all[t - 1].Add

            made)
