namespace ValueFlow.Core.Flows

open TorchSharp
open ValueFlow.Core.Foundations
open ValueFlow.Core.Foundations.Arithmetic

/// How mass moves along the observed marginals.
[<RequireQualifiedAccess>]
type ActionKind =
    /// dq/dt = -div(q grad s).
    | Balanced
    /// The Fokker-Planck equation of dX = grad s dt + noise dW: dq/dt = -div(q grad s) + (noise^2/2) Laplacian q.
    | Entropic of noise: float
    /// dq/dt = -div(q grad s) + q s: mass grows where s is positive.
    | Unbalanced

/// Rows of points and, if they do not count alike, their weights (B); nothing: 1/B each.
[<NoComparison; NoEquality>]
type WeightedPoints =
    {
        /// (B, d).
        Points: torch.Tensor
        /// (B); their sum is the mass of the law.
        Weights: torch.Tensor voption
    }

/// Samples of the marginals q_t: at time 0, at time 1, and at times in between.
[<NoComparison; NoEquality>]
type ActionBatch =
    {
        /// From q_0.
        First: WeightedPoints
        /// From q_1.
        Last: WeightedPoints
        /// t of each point in between, (B), uniform on [0, 1].
        Times: torch.Tensor
        /// From q_t.
        Between: WeightedPoints
    }

/// Learning a transport from samples of its marginals alone. Neklyudov, Brekelmans, Severo and Makhzani 2023, "Action Matching: Learning Stochastic
/// Dynamics from Samples".
[<RequireQualifiedAccess>]
module ActionMatching =

    let private requirePoints (name: string) (like: torch.Tensor) (points: WeightedPoints) : unit =
        Shape.require name [ -1L; like.shape[1] ] points.Points
        Shape.requireType name like.dtype points.Points

    let private checkedAction (action: torch.Tensor -> torch.Tensor -> torch.Tensor) (t: torch.Tensor) (x: torch.Tensor) : torch.Tensor =
        let value = action t x
        TimeRows.requireLike "action" t value
        value

    // s (B), ds/dt (B) and grad_x s (B, d), differentiable again: gradients in (t, x) side by side.
    let private derivatives
        (action: torch.Tensor -> torch.Tensor -> torch.Tensor)
        (t: torch.Tensor)
        (x: torch.Tensor)
        : struct (torch.Tensor * torch.Tensor * torch.Tensor) =
        let joint = torch.cat ([| t.unsqueeze 1L; x |], 1L)
        let joint = if joint.requires_grad then joint else joint.requires_grad_ true
        let moment (joint: torch.Tensor) : torch.Tensor = joint.select (1L, 0L)
        let points (joint: torch.Tensor) : torch.Tensor = joint.narrow (1L, 1L, x.shape[1])
        let struct (value, gradient) = Diff.Batch.fgradient (fun joint -> checkedAction action (moment joint) (points joint)) joint
        struct (value, moment gradient, points gradient)

    /// L(s) = E_q0 s(0, x) - E_q1 s(1, x) + int_0^1 E_qt [ |grad s|^2/2 + ds/dt + R ] dt, R = 0 (balanced), (noise^2/2) Laplacian s (entropic), s^2/2
    /// (unbalanced). Balanced: L(s) = 1/2 int E|grad(s - s*)|^2 - 1/2 int E|grad s*|^2. The action is t (B) -> x (B, d) -> (B); the loss can be differentiated in
    /// whatever it depends on. Throws an ArgumentException for wrong shapes, types or a noise that is not positive.
    let loss (kind: ActionKind) (action: torch.Tensor -> torch.Tensor -> torch.Tensor) (batch: ActionBatch) : torch.Tensor =
        let x = batch.Between.Points
        Shape.require "between" [ -1L; -1L ] x
        TimeRows.requireBatch "between" x
        Shape.require "times" [ x.shape[0] ] batch.Times
        Shape.requireType "times" x.dtype batch.Times
        requirePoints "first" x batch.First
        requirePoints "last" x batch.Last

        match kind with
        | ActionKind.Entropic noise when not (noise > 0.0 && System.Double.IsFinite noise) ->
            invalidArg "noise" $"must be positive and finite but is {noise}"
        | _ -> ()

        Lifetime.keep (fun () ->
            let atEnd (time: float) (points: WeightedPoints) =
                let t = Elementwise.plus time (torch.zeros ([| points.Points.shape[0] |], dtype = x.dtype, device = x.device))
                let value = action t points.Points
                TimeRows.requireLike "action" t value
                Losses.average points.Weights value

            let struct (value, rate, gradient) = derivatives action batch.Times x
            let kinetic = Elementwise.times 0.5 (gradient.Squared().sum 1L)

            let extra =
                match kind with
                | ActionKind.Balanced -> []
                | ActionKind.Entropic noise ->
                    // A point that requires a gradient keeps the graph, and saves Diff the evaluation that finds out whether to.
                    let point = if x.requires_grad then x else (x.detach ()).requires_grad_ true
                    [ Elementwise.times (0.5 * noise * noise) (Diff.Batch.laplacian (checkedAction action batch.Times) point) ]
                | ActionKind.Unbalanced -> [ Elementwise.times 0.5 (value.Squared()) ]

            let between = (kinetic.Plus rate :: extra) |> List.reduce (fun sum next -> sum.Plus next)
            ((atEnd 0.0 batch.First).sub(atEnd 1.0 batch.Last)).Plus(Losses.average batch.Between.Weights between))

    /// grad_x s(t, x): the velocity that an action stands for, (B, d); t is one number or (B). No gradient is recorded through it.
    let velocity (name: string) (action: torch.Tensor -> torch.Tensor -> torch.Tensor) : ValueFlow.Core.Dynamics.Field =
        ValueFlow.Core.Dynamics.Field.create name (fun t x ->
            Shape.require "x" [ -1L; -1L ] x
            TimeRows.read x t |> ignore

            Lifetime.keepDetached (fun () ->
                let times = if t.dim () = 0L then t.expand([| x.shape[0] |]).clone() else t
                Diff.Batch.gradient (checkedAction action times) x))

    /// Draws a batch from snapshots of the marginals: between two snapshots q_t is their mixture (1 - a) q_k + a q_(k+1), so that a row comes from one or the
    /// other. <c>times</c> ascend from 0 to 1; <c>snapshots</c> have the shape (any, d).
    let draw (generator: Generator) (times: float[]) (snapshots: torch.Tensor[]) (count: int) : ActionBatch =
        Shape.requireLength (nameof snapshots) times.Length snapshots.Length

        if
            times.Length < 2
            || times[0] <> 0.0
            || times[times.Length - 1] <> 1.0
            || not (Array.forall (fun (a, b) -> a < b) (Array.pairwise times))
        then
            invalidArg (nameof times) "must ascend from 0 to 1"

        if count < 1 then
            invalidArg (nameof count) $"must be positive but is {count}"

        Shape.require "snapshots[0]" [ -1L; -1L ] snapshots[0]
        TimeRows.requireBatch "snapshots[0]" snapshots[0]

        snapshots
        |> Array.iteri (fun k snapshot ->
            requirePoints $"snapshots[{k}]" snapshots[0] { Points = snapshot; Weights = ValueNone }

            if snapshot.shape[0] = 0L then
                invalidArg $"snapshots[{k}]" "must have at least one row but has none")

        let row (k: int) = generator.Below(int snapshots[k].shape[0])
        let offsets = snapshots |> Array.scan (fun sum snapshot -> sum + int snapshot.shape[0]) 0

        let drawn =
            Array.init count (fun _ ->
                let t = generator.Uniform()
                let k = (times |> Array.findIndexBack (fun time -> time <= t))
                let share = (t - times[k]) / (times[k + 1] - times[k])
                let chosen = if generator.Uniform() < share then k + 1 else k
                struct (t, int64 (offsets[chosen] + row chosen)))

        let from k = Array.init count (fun _ -> int64 (offsets[k] + row k))
        let first, last = from 0, from (times.Length - 1)
        let moments = drawn |> Array.map (fun (struct (t, _)) -> t)
        let indices = drawn |> Array.map (fun (struct (_, index)) -> index)

        let pick (rows: int64[]) =
            Lifetime.keep (fun () ->
                (torch.cat (snapshots, 0L)).index_select(0L, torch.tensor (rows, dtype = torch.int64, device = snapshots[0].device)))

        let unweighted points = { Points = points; Weights = ValueNone }

        {
            First = unweighted (pick first)
            Last = unweighted (pick last)
            Times = torch.tensor (moments, dtype = snapshots[0].dtype, device = snapshots[0].device)
            Between = unweighted (pick indices)
        }
