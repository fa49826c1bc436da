module ValueFlow.Tests.Values.SummaryTests

open Xunit
open TorchSharp
open ValueFlow.Core.Foundations
open ValueFlow.Core.Values
open ValueFlow.Tests.Values.CertificateTests

/// Every state summary on models with exact probabilities.
let stateSummaries: StateSummary list =
    [
        Expectation()
        for attitude in [ Attitude.Adverse; Attitude.Favourable ] do
            Cvar(0.3, attitude)
            Cvar(1.0, attitude)
            Entropic(0.5, attitude)
            Entropic(20.0, attitude)
            TotalVariation(0.2, Support.AllStates, attitude)
            TotalVariation(0.9, Support.AllStates, attitude)
            TotalVariation(0.2, Support.Nominal, attitude)
            Contamination(0.2, Support.AllStates, attitude)
            KullbackLeibler(0.1, attitude)
            ChiSquare(0.3, attitude)
            Wasserstein(0.7, StateMetric.Line, Support.AllStates, attitude)
            Expectile(0.3, attitude)
            Semideviation(0.5, attitude)
            Evar(0.1, attitude)
        Contamination(0.6, Support.Nominal, Attitude.Adverse)
        KullbackLeibler(2.0)
        ChiSquare 4.0
        Wasserstein(0.3, StateMetric.Line, Support.Nominal, Attitude.Adverse)
        Semideviation 1.0
    ]

/// Every action summary.
let actionSummaries (model: Model) : ActionSummary list =
    let uniform = Policy.Uniform model

    [
        Extreme Direction.Maximise
        Extreme Direction.Minimise
        EpsilonMix(0.1, Direction.Maximise)
        EpsilonMix(0.3, Direction.Minimise)
        PolicyMean uniform
        LogSumExp(0.5, uniform)
        LogSumExp(-2.0, uniform)
        LogSumExp.Mellowmax 3.0
        LogSumExp.Mellowmax -3.0
        Boltzmann 2.0
        Tsallis.Sparsemax(0.5, Direction.Maximise)
        Tsallis(1.5, 2.0, ValueSome uniform, Direction.Maximise)
        Tsallis(3.0, 0.7, ValueNone, Direction.Minimise)
        AnnealedMix(0.4, uniform, Direction.Maximise)
    ]

[<Fact>]
let ``row form and tensor form agree for every pair of summaries`` () =
    for seed in 1..20 do
        let case = randomCase seed
        let rows = new TensorRows(Kernel(case.Model, case.Discount))
        let generator = Generator seed

        let values =
            Array.init case.Model.StateCount (fun _ -> if generator.Uniform() < 0.2 then 0.0 else case.Scale * (generator.Uniform() - 0.5))

        for state in stateSummaries do
            for action in actionSummaries case.Model do
                let bellman = Bellman.Create(case.Model, case.Discount, state, action)
                let byRows = bellman.Operator.Apply values
                use x = torch.tensor (values, dtype = torch.float64)
                use image = (bellman.TensorOperator rows).Apply x
                let byTensors = image.data<float>().ToArray()
                let gap = Metric.sup.Distance byRows byTensors
                Assert.True(gap <= 1e-12 * (1.0 + case.Scale), $"seed {seed}: {bellman.Operator.Name}: {gap} %A{byRows} %A{byTensors}")

        (rows :> System.IDisposable).Dispose()

[<Fact>]
let ``gradients of the tensor form are the differences of the row form`` () =
    let step = 1e-6
    let mutable compared = 0

    for seed in 1..60 do
        let case = randomCase seed

        if case.Scale = 1.0 then
            let rows = new TensorRows(Kernel(case.Model, case.Discount))
            let generator = Generator(seed + 77)
            let values = Array.init case.Model.StateCount (fun _ -> 2.0 * generator.Uniform() - 1.0)
            let mean: ActionSummary = PolicyMean(Policy.Uniform case.Model)

            let pairs: (StateSummary * ActionSummary) list =
                [
                    for state in stateSummaries -> state, mean
                    for action in actionSummaries case.Model -> Expectation(), action
                ]

            for state, action in pairs do
                let bellman = Bellman.Create(case.Model, case.Discount, state, action)
                use x = torch.tensor (values, dtype = torch.float64, requires_grad = true)
                use image = (bellman.TensorOperator rows).Apply x
                use total = image.sum ()
                total.backward ()

                let gradient =
                    match x.grad with
                    | null -> Array.zeroCreate values.Length
                    | grown -> grown.data<float>().ToArray()

                let at place shift = bellman.Operator.Apply(Array.updateAt place (values[place] + shift) values) |> Array.sum

                for place in 0 .. values.Length - 1 do
                    let up, down = (at place step - at place 0.0) / step, (at place 0.0 - at place -step) / step
                    let lowest, highest = min up down - 1e-4, max up down + 1e-4
                    // At a kink any slope between the two sides is one.
                    Assert.True(
                        gradient[place] >= lowest && gradient[place] <= highest,
                        $"seed {seed}: {bellman.Operator.Name}, state {place}: {gradient[place]}, not in [{lowest}, {highest}]"
                    )

                    compared <- compared + 1

            (rows :> System.IDisposable).Dispose()

    Assert.True(compared > 2000, $"{compared}")
