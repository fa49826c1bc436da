using Microsoft.Data.Analysis;
using Xunit;

namespace ValueFlow.FacadeTests;

/// <summary>Flows as a user of C# meets them: learnt, run both ways, their densities, saved and loaded.</summary>
public sealed class FlowTests : IDisposable
{
    // Two independent normal columns of different scale: every answer is known.
    private static readonly double[][] Cloud = Draw(2_000, 5);

    private static readonly Lazy<TrainedFlow> Learnt = new(() => Sentence(Table.From(Cloud, "metres", "grams")).Train(Quick));

    private readonly string folder = Directory.CreateTempSubdirectory("valueflow").FullName;

    private static TrainOptions Quick => new() { Steps = 800, BatchSize = 128, LearningRate = 3e-3, Seed = 1 };

    public void Dispose() => Directory.Delete(folder, true);

    private string At(string name) => Path.Combine(folder, name);

    private static double[][] Draw(int count, int seed)
    {
        Random random = new(seed);
        double Normal() => Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble());
        return [.. Enumerable.Range(0, count).Select(_ => new[] { 3 + (0.5 * Normal()), -100 + (20 * Normal()) })];
    }

    private static Flow Sentence(Table table) =>
        Flow.From(Source.Normal(2)).To(table).PairedBy(Pairing.Independent).Along(Interpolant.Linear).With(NetworkShape.Mlp(32, 32));

    private static double Deviation(IEnumerable<double> values)
    {
        double mean = values.Average();
        return Math.Sqrt(values.Average(x => (x - mean) * (x - mean)));
    }

    [Fact]
    public void ALearntFlowHasTheLawOfTheTable()
    {
        var flow = Learnt.Value;
        Assert.Equal(TrainOutcome.Completed, flow.Outcome);
        Assert.Equal(["metres", "grams"], flow.Columns);
        Assert.Equal(800, flow.Losses[^1].Step);
        FlowSamples samples = flow.Sample(2_000, seed: 2);
        Assert.True(samples.Evaluations >= samples.Steps && samples.Steps > 0);
        double[] metres = samples.Table["metres"];
        double[] grams = samples.Table["grams"];
        Assert.InRange(metres.Average(), 2.95, 3.05);
        Assert.InRange(grams.Average(), -102, -98);
        Assert.InRange(Deviation(metres), 0.46, 0.54);
        Assert.InRange(Deviation(grams), 18.4, 21.6);
        // The distance to new draws of the law is that of two samples of it, or little more; the unlearnt law is far away.
        double[][] again = Draw(2_000, 6);
        Assert.InRange(Distance.SlicedWasserstein2(samples, again), 0, 1.5);
        Assert.True(Distance.SlicedWasserstein2([.. again.Select(row => new[] { row[0], row[1] + 20 })], again) > 5);
    }

    [Fact]
    public void TheDensityIsInTheUnitsOfTheColumnsAndIntegratesToOne()
    {
        double[] x = OdeOptions.EvenTimes(3 - 2.5, 3 + 2.5, 41);
        double[] y = OdeOptions.EvenTimes(-200, 0, 41);
        double[][] grid = [.. x.SelectMany(a => y.Select(b => new[] { a, b }))];
        double[] density = [.. Learnt.Value.LogDensity(grid).Select(Math.Exp)];
        Assert.InRange(density.Sum() * (x[1] - x[0]) * (y[1] - y[0]), 0.99, 1.01);
        double known = -Math.Log(2 * Math.PI * 0.5 * 20);
        Assert.Equal(known, Learnt.Value.LogDensity([[3, -100]])[0], 0.15);
        // Hutchinson's estimate in two columns is exact but for the off-diagonal part.
        Assert.Equal(known, Learnt.Value.LogDensity([[3, -100]], new() { Directions = 64 })[0], 0.3);
    }

    [Fact]
    public void TransportBackUndoesTransport()
    {
        SampleOptions fine = new() { Sampler = Sampler.Ode(1e-7) };
        double[][] start = [[3.1, -90], [2, -130], [4, -60]];
        double[][] there = Learnt.Value.Transport(start, fine);
        double[][] back = Learnt.Value.TransportBack(there, fine);
        for (int i = 0; i < start.Length; i++)
        {
            Assert.Equal(start[i][0], back[i][0], 1e-4);
            Assert.Equal(start[i][1], back[i][1], 1e-3);
        }

        double[][][] way = Learnt.Value.Trajectories(start, [0, 0.5, 1], fine);
        Assert.Equal(3, way.Length);
        Assert.Equal(start[1][1], way[0][1][1], 1e-9);
        Assert.Equal(there[1][1], way[2][1][1], 1e-3);
        // The velocity is the derivative of the trajectory.
        double[][][] near = Learnt.Value.Trajectories(start, [0.499, 0.5, 0.501], fine);
        double[][] velocity = Learnt.Value.Velocity(0.5, near[1]);
        Assert.Equal((near[2][1][1] - near[0][1][1]) / 0.002, velocity[1][1], 0.05 * 20);
    }

    [Fact]
    public void EverySamplerHasTheSameLaw()
    {
        foreach (var sampler in new[] { Sampler.FewSteps(8), Sampler.Sde(0.5, 200) })
        {
            FlowSamples samples = Learnt.Value.Sample(2_000, 3, new() { Sampler = sampler });
            Assert.InRange(samples.Table["metres"].Average(), 2.95, 3.05);
            Assert.InRange(Deviation(samples.Table["grams"]), 18, 22);
        }

        Assert.Equal(Learnt.Value.Sample(5, 3, new() { Sampler = Sampler.Sde(0.5, 20) }).Points, Learnt.Value.Sample(5, 3, new() { Sampler = Sampler.Sde(0.5, 20) }).Points);
        Assert.NotEqual(Learnt.Value.Sample(5, 3).Points, Learnt.Value.Sample(5, 4).Points);
    }

    [Fact]
    public void AFlowThatWasSavedAndLoadedIsTheSame()
    {
        Learnt.Value.Save(At("flow.safetensors"));
        var again = TrainedFlow.Load(At("flow.safetensors"));
        Assert.Equal(Learnt.Value.Sample(50, 7).Points, again.Sample(50, 7).Points);
        Assert.Equal(Learnt.Value.LogDensity([[3, -100]]), again.LogDensity([[3, -100]]));
        Assert.Equal(Learnt.Value.Columns, again.Columns);
        Assert.Equal(Learnt.Value.Losses, again.Losses);
        Assert.Equal((TrainOutcome.Completed, "independent", "linear", 800, 1), (again.Outcome, again.Pairing.Name, again.Interpolant.Name, again.Steps, again.Seed));

        byte[] bytes = File.ReadAllBytes(At("flow.safetensors"));
        bytes[^5] ^= 1;
        File.WriteAllBytes(At("damaged.safetensors"), bytes);
        Assert.Contains("damaged.safetensors: expected sha256", Assert.Throws<InvalidDataException>(() => TrainedFlow.Load(At("damaged.safetensors"))).Message);
        Assert.Throws<FileNotFoundException>(() => TrainedFlow.Load(At("none.safetensors")));
    }

    [Fact]
    public void SamplesBecomeFramesAndFiles()
    {
        var samples = Learnt.Value.Sample(3);
        DataFrame frame = samples.ToDataFrame();
        Assert.Equal(["metres", "grams"], frame.Columns.Select(column => column.Name));
        foreach (string name in new[] { "s.csv", "s.parquet" })
        {
            samples.Save(At(name));
            Assert.Equal(samples.Points, Table.Load(At(name)).Rows);
        }

        Assert.Equal(samples.Points, Table.From(frame).Rows);
        Assert.Equal(2, Directory.GetFiles(folder).Length);
    }

    [Fact]
    public void FromSampleToSampleThereIsNoDensity()
    {
        double[][] source = [.. Draw(400, 8).Select(row => new[] { row[0] + 2, row[1] })];
        var flow = Flow.From(Source.Sample(Table.From(source)))
            .To(Cloud)
            .PairedBy(Pairing.OptimalTransport)
            .With(NetworkShape.Mlp(16, 16))
            .Train(Quick with { Steps = 200, BatchSize = 64 });
        double[][] arrived = flow.Transport(source);
        Assert.InRange(arrived.Average(row => row[0]), 2.7, 3.3);
        Assert.Contains("density is known", Assert.Throws<InvalidOperationException>(() => flow.LogDensity([[3, -100]])).Message);
        Assert.Contains("transport points", Assert.Throws<InvalidOperationException>(() => flow.Sample(3)).Message);
        var refusal = Assert.Throws<InvalidOperationException>(() => flow.Transport(source, new() { Sampler = Sampler.Sde(1) }));
        Assert.Contains("needs the score", refusal.Message);
        Assert.Contains("optimal-transport pairs", refusal.Message);
    }

    [Fact]
    public void BuildersAreImmutable()
    {
        var table = Table.From(Cloud);
        var plain = Flow.From(Source.Normal()).To(table).With(NetworkShape.Mlp(8));
        var other = plain.PairedBy(Pairing.Sinkhorn(0.1)).Along(Interpolant.BrownianBridge(0.5));
        TrainOptions few = new() { Steps = 3, BatchSize = 32 };
        Assert.Equal(("independent", "linear"), (plain.Train(few).Pairing.Name, plain.Train(few).Interpolant.Name));
        Assert.Equal(("sinkhorn:0.1", "brownian-bridge:0.5"), (other.Train(few).Pairing.Name, other.Train(few).Interpolant.Name));
        double[][] mine = [[1, 2], [3, 5], [2, 1]];
        var kept = Table.From(mine);
        mine[0][0] = 99;
        Assert.Equal(1, kept.Rows[0][0]);
    }

    [Fact]
    public void TrainingTellsAndStops()
    {
        List<TrainProgress> told = [];
        using CancellationTokenSource source = new();
        var progress = new Told<TrainProgress>(now =>
        {
            told.Add(now);
            if (now.Step == 20)
            {
                source.Cancel();
            }
        });
        var flow = Sentence(Table.From(Cloud)).Train(Quick with { Progress = progress, ProgressInterval = TimeSpan.Zero, Cancellation = source.Token });
        Assert.Equal(TrainOutcome.Cancelled, flow.Outcome);
        Assert.Equal(20, flow.Steps);
        Assert.Equal(20, told.Count);
        Assert.ThrowsAny<OperationCanceledException>(() => flow.Sample(10, options: new() { Cancellation = source.Token }));
        Assert.ThrowsAny<OperationCanceledException>(() => flow.LogDensity([[1, 2]], new() { Cancellation = source.Token }));
        Assert.Contains("steps were used up", Assert.Throws<InvalidOperationException>(() => flow.Sample(10, options: new() { MaximumSteps = 1 })).Message);
        var stopped = Assert.Throws<InvalidOperationException>(() => flow.LogDensity([[1, 2]], new() { MaximumSteps = 1 }));
        Assert.Equal("the flow stopped on the way: the steps were used up", stopped.Message);
    }

    [Fact]
    public void ARunThatWasStoppedGoesOnToTheBit()
    {
        var sentence = Sentence(Table.From(Cloud));
        var options = Quick with { Steps = 120 };
        var whole = sentence.Train(options);
        using CancellationTokenSource source = new();
        var stop = new Told<TrainProgress>(now =>
        {
            if (now.Step == 50)
            {
                source.Cancel();
            }
        });
        string path = At("run.checkpoint");
        var half = sentence.Train(options with { Checkpoint = path, Progress = stop, ProgressInterval = TimeSpan.Zero, Cancellation = source.Token });
        Assert.Equal(50, half.Steps);
        var resumed = sentence.Train(options with { Checkpoint = path });
        whole.Save(At("whole.safetensors"));
        resumed.Save(At("resumed.safetensors"));
        Assert.Equal(File.ReadAllBytes(At("whole.safetensors")), File.ReadAllBytes(At("resumed.safetensors")));
        var other = Assert.Throws<InvalidDataException>(() => Sentence(Table.From(Draw(500, 1))).Train(options with { Checkpoint = path }));
        Assert.Contains("run.checkpoint: expected objective", other.Message);
        Assert.Contains("expected seed '2', found '1'", Assert.Throws<InvalidDataException>(() => sentence.Train(options with { Checkpoint = path, Seed = 2 })).Message);
    }

    [Fact]
    public void SlipsAreNamed()
    {
        var sentence = Sentence(Table.From(Cloud));
        Assert.Contains("Steps must be at least 1", Assert.Throws<ArgumentOutOfRangeException>(() => sentence.Train(new() { Steps = 0 })).Message);
        Assert.Contains("lie in a folder that exists", Assert.Throws<ArgumentOutOfRangeException>(() => sentence.Train(new() { Checkpoint = At("no/where.bin") })).Message);
        Assert.Contains("must have 3 columns", Assert.Throws<ArgumentException>(() => Flow.From(Source.Normal(3)).To(Cloud)).Message);
        Assert.Contains("row 1 must have 2 numbers but has 1", Assert.Throws<ArgumentException>(() => Learnt.Value.LogDensity([[1, 2], [3]])).Message);
        Assert.Contains("row 0, column 1 must be finite but is NaN", Assert.Throws<ArgumentException>(() => Learnt.Value.Transport([[1, double.NaN]])).Message);
        Assert.Throws<ArgumentOutOfRangeException>(() => Learnt.Value.Velocity(1.5, [[1, 2]]));
        Assert.Throws<ArgumentOutOfRangeException>(() => Learnt.Value.Sample(0));
        Assert.Throws<ArgumentOutOfRangeException>(() => NetworkShape.Mlp(8, 0));
        Assert.Throws<ArgumentOutOfRangeException>(() => Pairing.Sinkhorn(0));
    }

    internal sealed class Told<T>(Action<T> action) : IProgress<T>
    {
        public void Report(T value) => action(value);
    }
}
