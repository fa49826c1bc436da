namespace ValueFlow.Core.Flows

open TorchSharp
open ValueFlow.Core.Foundations

/// A mixture of normal laws on R^d.
[<NoComparison; NoEquality>]
type MixtureLaw =
    internal
        {
            weights: float[]
            parts: GaussianLaw[]
        }

    /// The number of coordinates.
    member this.Dimension = this.parts[0].Dimension
    /// The shares of the components; they sum to one.
    member this.Weights = Array.copy this.weights
    /// The components.
    member this.Components = Array.copy this.parts

/// Mixtures of normal laws: density, score, moments, draws.
[<RequireQualifiedAccess>]
module MixtureLaw =

    /// Weights must be finite, not negative, with a positive sum; they are normalised, and components of weight zero are dropped.
    let internal normalise (weights: float[]) (parts: 'part[]) : struct (float[] * 'part[]) =
        Shape.requireLength (nameof parts) weights.Length parts.Length
        Shape.requireFinite (nameof weights) weights

        match weights |> Array.tryFindIndex (fun w -> w < 0.0) with
        | Some index -> invalidArg (nameof weights) $"entry {index} must not be negative but is {weights[index]}"
        | None -> ()

        let total = Array.sum weights

        if not (total > 0.0 && System.Double.IsFinite total) then
            invalidArg (nameof weights) $"must have a positive finite sum but have {total}"

        let kept = Array.zip weights parts |> Array.filter (fun (w, _) -> w > 0.0)
        struct (kept |> Array.map (fun (w, _) -> w / total), kept |> Array.map snd)

    /// A mixture; weights are normalised. Throws an ArgumentException for bad weights or components of different dimensions.
    let create (weights: float[]) (components: GaussianLaw[]) : MixtureLaw =
        let struct (shares, parts) = normalise weights components

        parts |> Array.iteri (fun k part -> Shape.requireLength $"components[{k}]" parts[0].Dimension part.Dimension)

        { weights = shares; parts = parts }

    /// The mixture of one component.
    let single (law: GaussianLaw) : MixtureLaw = create [| 1.0 |] [| law |]

    /// Normal laws of one deviation around centres, of equal weight.
    let around (centres: float[][]) (deviation: float) : MixtureLaw =
        create (Array.create centres.Length 1.0) (centres |> Array.map (fun centre -> GaussianLaw.isotropic centre deviation))

    let private components (law: MixtureLaw) : Components =
        {
            Times = 1
            LogWeights = law.weights |> Array.map log
            Dimension = law.Dimension
            Means = law.parts |> Array.collect _.mean
            Covariances = law.parts |> Array.collect (fun part -> part.covariance |> Seq.cast<float> |> Array.ofSeq)
        }

    /// log p(x), (B), for x (B, d); differentiable in x. Throws an ArgumentException where a covariance is singular.
    let logDensity (law: MixtureLaw) (x: torch.Tensor) : torch.Tensor =
        Lifetime.keep (fun () -> Posterior.create (components law) x |> Posterior.logDensity)

    /// grad log p(x), (B, d).
    let score (law: MixtureLaw) (x: torch.Tensor) : torch.Tensor =
        Lifetime.keep (fun () -> Posterior.create (components law) x |> Posterior.score)

    /// The mean, (d).
    let mean (law: MixtureLaw) : float[] =
        Array.init law.Dimension (fun i -> Array.fold2 (fun sum w (part: GaussianLaw) -> sum + w * part.mean[i]) 0.0 law.weights law.parts)

    /// The covariance, (d, d): that within components and that of their means.
    let covariance (law: MixtureLaw) : float[,] =
        let centre = mean law

        Array2D.init law.Dimension law.Dimension (fun i j ->
            Array.fold2
                (fun sum w (part: GaussianLaw) ->
                    sum + w * (part.covariance[i, j] + (part.mean[i] - centre[i]) * (part.mean[j] - centre[j])))
                0.0
                law.weights
                law.parts)

    /// count rows (count, d) in float64, the same on every machine.
    let sample (generator: Generator) (law: MixtureLaw) (count: int) : torch.Tensor =
        if count < 1 then
            invalidArg (nameof count) $"must be positive but is {count}"

        let roots = law.parts |> Array.map (fun part -> Covariance.root part.covariance)

        let rows =
            Array.init count (fun _ ->
                let k = Sampling.index generator (System.ReadOnlySpan law.weights)
                Covariance.draw generator law.parts[k].mean roots[k])

        Lifetime.keep (fun () -> torch.tensor(Array.concat rows, dtype = torch.float64).reshape [| int64 count; int64 law.Dimension |])
