namespace ValueFlow.Core.Flows

open TorchSharp
open ValueFlow.Core.Foundations

/// Closed forms of multimarginal interpolants between independent mixtures of normal laws.
[<RequireQualifiedAccess>]
module MultimarginalLaw =

    let private tuples (laws: MixtureLaw[]) : struct (float * GaussianLaw[])[] =
        Array.fold
            (fun (built: struct (float * GaussianLaw list)[]) (law: MixtureLaw) ->
                [|
                    for struct (weight, parts) in built do
                        for share, part in Array.zip law.weights law.parts do
                            struct (weight * share, part :: parts)
                |])
            [| struct (1.0, []) |]
            laws
        |> Array.map (fun (struct (weight, parts)) -> struct (weight, parts |> List.rev |> Array.ofList))

    let private requireLaws (laws: MixtureLaw[]) : unit =
        if laws.Length < 2 then
            invalidArg (nameof laws) $"must be at least two but are {laws.Length}"

        laws |> Array.iteri (fun k law -> Shape.requireLength $"laws[{k}]" laws[0].Dimension law.Dimension)

    let private combine (alpha: float[]) (parts: GaussianLaw[]) (mean: float[]) : unit =
        parts |> Array.iteri (fun k part -> part.mean |> Array.iteri (fun i m -> mean[i] <- mean[i] + alpha[k] * m))

    let private meanAt (alpha: float[]) (parts: GaussianLaw[]) : float[] =
        let mean = Array.zeroCreate parts[0].Dimension
        combine alpha parts mean
        mean

    let private covarianceAt (alpha: float[]) (parts: GaussianLaw[]) : float[,] =
        Array2D.init parts[0].Dimension parts[0].Dimension (fun i j ->
            Seq.sum (Seq.mapi (fun k (part: GaussianLaw) -> alpha[k] * alpha[k] * part.covariance[i, j]) parts))

    /// The law of x(alpha): a mixture of normal laws.
    let marginal (laws: MixtureLaw[]) (alpha: float[]) : MixtureLaw =
        requireLaws laws
        Shape.requireLength (nameof alpha) laws.Length alpha.Length
        let tuples = tuples laws

        MixtureLaw.create
            (tuples |> Array.map (fun (struct (weight, _)) -> weight))
            (tuples
             |> Array.map (fun (struct (_, parts)) -> GaussianLaw.create (meanAt alpha parts) (covarianceAt alpha parts)))

    /// The conditional means g_k(alpha, x) as a model: alpha (B, K), x (B, d), K tensors (B, d), in float64 inside. Given components,
    /// g_k = m_k + alpha_k C_k (sum_j alpha_j^2 C_j)^-1 (x - sum_j alpha_j m_j). Throws an ArgumentException where the law of x(alpha) is singular.
    let model (laws: MixtureLaw[]) : torch.Tensor -> torch.Tensor -> torch.Tensor[] =
        requireLaws laws
        let tuples = tuples laws
        let d = laws[0].Dimension

        fun alpha x ->
            Posterior.requirePoints d x
            Shape.require "alpha" [ x.shape[0]; int64 laws.Length ] alpha
            let numbers = TimeRows.values alpha |> Array.chunkBySize laws.Length
            let isShared = numbers |> Array.forall (fun row -> row = numbers[0])
            let rows = if isShared then [| numbers[0] |] else numbers

            let collect (work: float[] -> GaussianLaw[] -> float[]) =
                rows |> Array.collect (fun row -> tuples |> Array.collect (fun (struct (_, parts)) -> work row parts))

            let flat (matrix: float[,]) = matrix |> Seq.cast<float> |> Array.ofSeq

            use scope = torch.NewDisposeScope()

            let posterior =
                Posterior.create
                    {
                        Times = rows.Length
                        LogWeights = tuples |> Array.map (fun (struct (weight, _)) -> log weight)
                        Dimension = d
                        Means = collect meanAt
                        Covariances = collect (fun row parts -> flat (covarianceAt row parts))
                    }
                    x

            Array.init laws.Length (fun k ->
                Posterior.expect
                    posterior
                    {
                        Offset = collect (fun _ parts -> parts[k].mean)
                        Gain = collect (fun row parts -> flat parts[k].covariance |> Array.map (fun c -> row[k] * c))
                    }
                |> scope.MoveToOuter)
