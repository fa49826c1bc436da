namespace ValueFlow.Core.Learning

open TorchSharp
open ValueFlow.Core.Flows
open ValueFlow.Core.Foundations

/// Where the pairs of a step come from.
[<NoComparison; NoEquality>]
type PairSource =
    {
        /// What it is, data included.
        Name: string
        /// So many pairs, each (count, d) in float32, with the condition that the network sees, if any.
        Draw: Generator -> int -> CoupledBatch
    }

/// How a transport is learnt as a regression on an interpolant.
[<NoComparison; NoEquality>]
type FlowMatchingOptions =
    {
        /// The path between the pairs.
        Interpolant: Interpolant
        /// What the network becomes: the velocity as a rule.
        Target: Target
        /// Times are uniform between these: 0 and 1, unless the target is singular in an end.
        Times: struct (float * float)
        /// Every pair counts with z and with -z: steadier where the interpolant has latent noise.
        IsAntithetic: bool
        /// Pairs in a step.
        Batch: int
    }

/// Flow matching: the network is regressed on the velocity (or another target) of an interpolant between paired samples, and becomes its conditional mean.
/// Lipman, Chen, Ben-Hamu, Nickel and Le 2023, "Flow Matching for Generative Modeling"; Albergo, Boffi and Vanden-Eijnden 2023, "Stochastic Interpolants".
[<RequireQualifiedAccess>]
module FlowMatching =

    /// The velocity of an interpolant, times in [0, 1], 256 pairs a step; antithetic where there is latent noise.
    let options (interpolant: Interpolant) : FlowMatchingOptions =
        {
            Interpolant = interpolant
            Target = Target.Velocity
            Times = struct (0.0, 1.0)
            IsAntithetic = interpolant.Latent.Gamma.Value 0.5 > 0.0
            Batch = 256
        }

    /// Pairs of two laws, joined by a coupling of minibatches.
    let between (coupling: Coupling<unit>) (source: RowSource) (target: RowSource) : PairSource =
        if source.Dimension <> target.Dimension then
            invalidArg (nameof target) $"rows must have {source.Dimension} numbers as the source's but have {target.Dimension}"

        {
            Name = $"{source.Name} to {target.Name}, {coupling.Name}"
            Draw =
                fun generator count ->
                    let x0, x1 = source.Draw generator count, target.Draw generator count
                    let pairs = Coupling.apply coupling generator x0 x1 [||]
                    x0.Dispose()
                    x1.Dispose()
                    { Start = pairs.Start; Finish = pairs.Finish; Condition = ValueNone; Known = ValueNone }
        }

    /// Pairs whose start is made from their end.
    let coupled (name: string) (make: Generator -> torch.Tensor -> CoupledBatch) (target: RowSource) : PairSource =
        {
            Name = $"{target.Name}, {name}"
            Draw = fun generator count -> make generator (target.Draw generator count)
        }

    let private require (options: FlowMatchingOptions) =
        let struct (first, last) = options.Times

        if not (first >= 0.0 && first < last && last <= 1.0) then
            invalidArg (nameof options) $"times must be an interval within [0, 1] but are [{first}, {last}]"

        if options.Batch < 1 then
            invalidArg (nameof options) $"a step must have at least 1 pair but has {options.Batch}"

    /// The points, times and regression targets of a step: everything random comes from its generator.
    let batch (options: FlowMatchingOptions) (pairs: PairSource) (generator: Generator) : RegressionBatch =
        Lifetime.within (fun () ->
            use _plain = torch.no_grad ()
            let drawn = pairs.Draw generator options.Batch
            let struct (first, last) = options.Times
            // Within [2^-24, 1 - 2^-24] of the interval: no end that is singular is met by chance.
            let time () = first + (last - first) * System.Math.Clamp(generator.Uniform(), 5.96e-8, 1.0 - 5.96e-8)
            let times = Array.init options.Batch (fun _ -> float32 (time ()))
            let isLatent = options.Interpolant.Latent.Gamma.Value 0.5 > 0.0
            let doubled = isLatent && options.IsAntithetic
            let twice (x: torch.Tensor) = if doubled then torch.cat ([| x; x |], 0L) else x

            let pairs =
                {
                    Pairs.Start = drawn.Start
                    Finish = drawn.Finish
                    Noise =
                        if isLatent then
                            ValueSome(Sampling.normals generator drawn.Start.dtype drawn.Start.device drawn.Start.shape)
                        else
                            ValueNone
                }

            let pairs = if doubled then Pairs.antithetic pairs else pairs
            let t = twice (torch.tensor times)

            // Point and velocity share the interpolant's numbers.
            let struct (points, targets) =
                match options.Target with
                | Target.Velocity -> Path.pointAndVelocity options.Interpolant t pairs
                | target -> struct (Path.point options.Interpolant t pairs, Target.regressand options.Interpolant target t pairs)

            RegressionBatch.ofTensors
                {
                    Points = points
                    Time = ValueSome t
                    Condition = drawn.Condition |> ValueOption.map (fun condition -> twice (condition.flatten 1L))
                }
                targets)

    /// The mean squared error of a network against the target, on fresh pairs at every step, by the fused kernels.
    /// Throws an ArgumentException where the network does not fit the pairs: it takes the time, points of the pairs' dimension, and their condition.
    let objective (options: FlowMatchingOptions) (configuration: NetworkConfiguration) (pairs: PairSource) : Objective =
        require options

        if configuration.Time = TimeInput.Absent then
            invalidArg (nameof configuration) "the network must take the time but does not"

        let struct (first, last) = options.Times
        let name = $"{options.Target} of {options.Interpolant.Name} in [{first}, {last}], batch {options.Batch}: {pairs.Name}"
        Objective.regression name configuration RegressionLoss.Squared (fun moment -> batch options pairs (moment.Generator()))
